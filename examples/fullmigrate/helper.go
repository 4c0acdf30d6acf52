package main

import (
	"context"
	"os"
)

// serveWord is the first argument of this program when it stands on the old host and answers for it.
const serveWord = "serve"

// placeHelper puts this program on the old host for the time of this run, where it can run there; else the old host's own
// find and tar do the work.
func (m *migration) placeHelper(ctx context.Context) error {
	if !m.remote() || m.plain {
		return nil
	}
	self, err := os.Executable()
	if err == nil {
		m.helper, err = m.old.Place(ctx, self, "-h")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		m.c.Warn("%v: the old host's find and tar are used", err)
	} else if !m.c.JSON {
		m.c.Say("a copy of this program works on the old host, and is removed at the end (-plain: without)")
	}
	return nil
}

// helperCommand is how the old host is asked; nil: by find and tar.
func (m *migration) helperCommand() []string {
	if m.helper == nil {
		return nil
	}
	return []string{m.helper.Path, serveWord}
}
