package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/netcfg"
)

// report is a plan and what became of it.
type report struct {
	*netcfg.Plan
	Backup string `json:"backup"` // below the root of the new host; "" when nothing was written
}

func (r report) String() string {
	if r.Backup == "" {
		return r.Plan.String()
	}
	return fmt.Sprintf("%s\nwritten; the files before: %s", r.Plan, r.Backup)
}

// restored is the report of a host that is as before: there is nothing left to write.
type restored struct{ report }

func (r restored) String() string { return "the files are as " + r.Backup + " keeps them" }

func putBack(ctx context.Context, c *cli.Call, root, backup string) error {
	if err := netcfg.Revert(ctx, root, backup); err != nil {
		return err
	}
	nothing := &netcfg.Plan{Version: 1, Addresses: []netip.Prefix{}, Files: []netcfg.FileChange{}, Findings: []netcfg.Finding{}, Commands: []string{}}
	r := restored{report{nothing, backup}}
	return c.Report(r, r)
}
