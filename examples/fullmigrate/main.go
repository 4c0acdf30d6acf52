// Command fullmigrate moves the people of a mail server: it merges their accounts into a new host, copies their homes and
// mail, compares what mail clients will see on both, and then moves the service: it stops one host's daemons, copies what
// changed last, takes over the address and starts the other's, or goes back. Each phase has a file of its own; all of them
// only put packages together.
package main

import (
	"os"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

const usage = `usage: fullmigrate [demo]
       fullmigrate [plan|sync|verify] -from OLD -to NEWROOT [-apply] [flags]
       fullmigrate [cutover|rollback] -from OLD -to NEWROOT [-iface NAME] [-domain D] [-yes|-manual] [flags]
       fullmigrate status [-from OLD] [-to NEWROOT | -run DIR]

Without arguments: builds a small old and a new host in a temporary directory, moves one to the other and shows the result.
OLD is the old host: [user@]host:/ through ssh, or the root of its file tree. NEWROOT is the root of the new host's file
tree; / is this host. Without a verb the plan is shown, and with -apply carried out and verified. sync copies while the old
host serves, as often as you like; cutover stops its mail daemons, copies what changed last and lets this host serve;
rollback goes back from any point of that. Exit code 1: a person must settle something. fullmigrate VERB -h tells of one verb.

example: fullmigrate -from root@old:/ -to / -apply`

// migration is what the command line asked for.
type migration struct {
	c              *cli.Call
	src            string        // the old host, as given: a directory, or [user@]host:/
	from, to       string        // local roots; of a host behind ssh, from holds its small files only
	old, new       *hostcmd.Host // where commands run; nil: that host is a file tree alone
	mirror         string        // temporary directory around from; "" when from is the old host itself
	host           oldHost
	runDir         string
	runGiven       bool // by -run
	users, exclude []string
	iface          string
	oldIface       string
	domain, dns    string
	login          string // test account; its password is in passwordFile or the environment
	passwordFile   string
	imap, pop3     string
	apply          bool
	yes, manual    bool
	reportFile     string
	made           *plan   // the last one, for the report
	phases         []phase // that have ended
	plain          bool
	helper         *hostcmd.Placed // this program on the old host
	far            *tree.Remote    // nil until it is first read
	farEnd         func()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveWord {
		os.Exit(hostcmd.Answer(tree.Serve))
	}
	cli.Main("fullmigrate", usage, start)
}
