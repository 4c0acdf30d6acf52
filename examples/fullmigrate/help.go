package main

import "slices"

// verbHelp is what -h shows behind a verb, and the flags that matter to it.
type verbHelp struct {
	usage string
	flags []string
}

var (
	everywhere = []string{"from", "to", "run", "json"}
	whoMoves   = []string{"users", "exclude", "plain", "report"}
	moving     = []string{"iface", "old-iface", "domain", "dns"}
	deciding   = []string{"yes", "manual"}
	loggingIn  = []string{"login", "password-file", "imap", "pop3"}
)

// helps is by verb.
var helps = map[string]verbHelp{
	"demo": {`usage: fullmigrate demo

Builds a small old and a new host in a temporary directory, moves one to the other and shows the result. It needs no root and no
network.

example: fullmigrate demo`, []string{"report", "json"}},
	"plan": {`usage: fullmigrate plan -from OLD -to NEWROOT [flags]

Reads both hosts and writes nothing: whose account gets which number, how much is to be copied, what blocks a move and what clients
would notice. -iface and -domain add the address and the backup MX.

example: fullmigrate plan -from root@old:/ -to / -iface eth0 -domain example.org`, slices.Concat(everywhere, whoMoves, moving)},
	"sync": {`usage: fullmigrate sync -from OLD -to NEWROOT [flags]

Copies accounts, homes and mail while the old host serves, and compares both sides. The first time takes as long as the mail is large,
every further time copies what changed.

example: fullmigrate sync -from root@old:/ -to /`, slices.Concat(everywhere, whoMoves)},
	"verify": {`usage: fullmigrate verify -from OLD -to NEWROOT [flags]

Compares both hosts byte by byte and message by message, and asks the running new host for accounts and mailboxes. It changes nothing.
-login sees the mail of a test account as its client does.

example: fullmigrate verify -from root@old:/ -to / -login anna -password-file FILE`, slices.Concat(everywhere, whoMoves, loggingIn, []string{"yes"})},
	"cutover": {`usage: fullmigrate cutover -from OLD -to NEWROOT [-iface NAME] [-domain D] [-yes|-manual] [flags]

Moves the service after a sync: stops the mail daemons of both hosts, copies what changed last, takes over the address and starts the
new host's daemons. It looks for all that could stop it first, and asks before the first effect. One that was cut off goes on by the same
command.

example: fullmigrate cutover -from root@old-admin:/ -to / -iface eth0 -domain example.org`, slices.Concat(everywhere, whoMoves, moving, deciding)},
	"rollback": {`usage: fullmigrate rollback -from OLD -to NEWROOT [-yes|-manual] [flags]

Lets the old host serve again, from any point of a cutover: stops the new host's daemons, gives the address back, starts on the old host
what ran there, and keeps the mail that reached the new one meanwhile.

example: fullmigrate rollback -from root@old-admin:/ -to /`, slices.Concat(everywhere, []string{"plain", "report"}, deciding)},
	"status": {`usage: fullmigrate status [-from OLD] [-to NEWROOT | -run DIR]

Tells how far a migration came, how long the service stood still, and what to type next. It needs neither host.

example: fullmigrate status`, everywhere},
}
