// Command mergeaccounts merges the user accounts of an old host into the account files of a new one: passwd, group, shadow
// and gshadow in one commit, system accounts untouched.
package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

const usage = `usage: mergeaccounts -from DIR -to DIR [flags]

DIR is the root of a host's file tree; / is this host. The plan is printed, and with -apply carried out. Exit code 1:
there are conflicts that a person must settle; nothing was written.

example: mergeaccounts -from /mnt/old -to / -map ids.json -apply`

func main() { cli.Main("mergeaccounts", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	opt := &passwd.Options{}
	from := c.Flags.String("from", "", "`root` of the old host's files")
	to := c.Flags.String("to", "", "`root` of the new host's files")
	users := c.Flags.String("users", "", "only these users, `a,b`")
	exclude := c.Flags.String("exclude", "", "all but these users, `a,b`")
	conflict := c.Flags.String("on-conflict", "stop", "`what` to do where the new host gave a name to somebody else: stop, keep his account, or rename the newcomer")
	mapPath := c.Flags.String("map", "", "`file` that receives the id maps for copymail; where it exists, ids that it names stay as they are")
	apply := c.Flags.Bool("apply", false, "carry the plan out")
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	if *from == "" || *to == "" {
		return c.Misused("-from and -to are needed")
	}
	if opt.OnConflict = passwd.Strategy(*conflict); opt.OnConflict != passwd.Stop && opt.OnConflict != passwd.Keep && opt.OnConflict != passwd.Rename {
		return c.Misused("-on-conflict %s: want stop, keep or rename", *conflict)
	}
	opt.Include, opt.Exclude = list(*users), list(*exclude)
	oldUsers, err1 := passwd.ReadHost(*from)
	newUsers, err2 := passwd.ReadHost(*to)
	oldHashes, err3 := shadow.ReadHost(*from)
	newHashes, err4 := shadow.ReadHost(*to)
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return err
	}
	ids, err := openMap(*mapPath)
	if err != nil {
		return err
	}
	defer ids.close()
	ids.recall(oldUsers, opt)
	oldHashes.Password = oldUsers.Passwd.Password // where hashes still stand in passwd
	opt.SamePerson = func(a, b string) bool { return shadow.SamePerson(oldHashes, newHashes, a, b) }
	accounts := passwd.Merge(oldUsers, newUsers, opt)
	passwords := shadow.Merge(oldHashes, newHashes, passwordsOf(accounts, time.Now()))
	r := newReport(accounts, passwords)
	if *apply && len(r.Conflicts) == 0 {
		if _, err := accounts.Apply(ctx, *to, passwords); err != nil {
			return fmt.Errorf("%s: %w", *to, err)
		}
		if err := ids.remember(ctx, accounts); err != nil {
			return err
		}
		r.Applied = true
	}
	if err := c.Report(r, r); err != nil {
		return err
	}
	if len(r.Conflicts) > 0 {
		return cli.ErrFinding
	}
	return nil
}
