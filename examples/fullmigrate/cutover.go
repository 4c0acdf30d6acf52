package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/internal/service"
	"github.com/mailmove/mailmove/mbox/tree"
)

// patience is how long daemons and delivery programs may take to end.
const patience = 30 * time.Second

// cutover is the move of the service from the old host to the new one, and the way back.
type cutover struct {
	m   *migration
	dir *run.Dir
	p   *plan
	rec record
	now [2]*service.State // what runs at this moment
	out *verdict

	held     *service.Held         // what stops those of the old host that people read mail through; nil: not prepared
	released func() error          // waits until the old host has let go of the address; nil: nobody has begun
	accounts func() (*plan, error) // what watchAccounts found
	changes  []tree.Change         // what keep found on the new host
}

// cutOver stops the old host's daemons, copies what changed last, and lets the new host serve. A run that was cut off is
// gone on with by what it had found out and by what its journal says.
func (m *migration) cutOver(ctx context.Context) error {
	if _, err := os.Lstat(m.runDir); errors.Is(err, fs.ErrNotExist) {
		return m.noSync() // and nothing is made for it
	}
	c, err := m.openCutover()
	if err != nil {
		return err
	}
	defer c.dir.Close()
	switch {
	case c.dir.Unfinished(stepRollback):
		return &cli.Hinted{Err: errors.New("the way back was begun and has not ended"), Hint: "finish it with fullmigrate rollback"}
	case c.dir.Done(stepCutover):
		if err := c.dir.Load(fileRecord, &c.rec); err != nil {
			return err
		}
		c.advise()
		return c.conclude("the new host serves already")
	}
	if c.dir.Unfinished(stepAccounts) {
		if err := m.resumeIn(ctx, c.dir); err != nil {
			return err
		}
	}
	resumed := c.dir.Unfinished(stepCutover)
	if resumed {
		m.c.Say("a cutover was begun; reading both hosts as they are now")
	}
	if err := c.prepare(ctx, resumed); err != nil {
		return err
	}
	if m.manual {
		return m.c.Script(strings.Join(c.manual(), "\n"))
	}
	if resumed {
		m.c.Warn("going on with the cutover that began at %s", c.rec.Began.Format(time.RFC3339))
	} else if err := m.c.Confirm("Stop the mail service of the old host now and move it here?", m.yes); err != nil {
		return err
	}
	if err := m.keepTyped(ctx, c.dir); err != nil {
		return err
	}
	if err := c.dir.Save(ctx, fileRecord, &c.rec); err != nil { // before the first line of the journal: both ways go by it
		return err
	}
	c.dir.Watch(watchJournal)
	defer c.drop()
	if err := c.dir.Step(stepCutover, func() error { return c.steps(ctx) }); err != nil {
		return c.stuck(err)
	}
	c.advise()
	return c.conclude("the new host serves")
}

// steps are the work, in order. Until the new host was let serve all can be done again; after that nothing more is copied.
func (c *cutover) steps(ctx context.Context) error {
	switched := c.dir.Unfinished(stepSwitch) || c.dir.Done(stepSwitch)
	last, serve := "copy what changed last, and compare", "start the mail daemons of the new host"
	if c.rec.Move != nil {
		last, serve = last+"; the old host lets go of the address meanwhile", "take the address, and "+serve
	}
	if !switched {
		if err := c.copyWhileServing(ctx); err != nil {
			return err
		}
	}
	return c.m.do(ctx, c.dir, []step{
		{stepStopNew, "stop the mail daemons of the new host", c.m.lines(1, c.stops(1)), !switched, c.stopNew},
		{stepStopIn, "stop the mail transfer of the old host", c.m.lines(0, c.stops(0, transfer...)), !switched, c.stopTransfer},
		{stepStopOld, "stop its other mail daemons, and wait until nobody writes to a mailbox", c.m.lines(0, c.stops(0, service.Access)), !switched, c.stopOld},
		{stepFinal, last, c.releaseLines(), !switched, c.finalPass},
		{stepSwitch, serve, append(c.takeLines(), c.m.lines(1, c.starts())...), true, c.letServe},
		{stepFiles, "write the address into the new host's files", c.fileLines(), c.rec.Move != nil, c.writeFiles},
		{stepFlush, "ask the backup MX for the mail that it holds", c.flushLines(), len(c.rec.Backups) > 0 || c.rec.Move != nil, c.flush},
	})
}
