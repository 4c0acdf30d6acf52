package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
)

// options are those of the copy.
func options(c *cli.Call, state string, remove bool, ids string) (*tree.Options, error) {
	opt := &tree.Options{State: state, Delete: remove}
	if show := c.Progress(); show != nil {
		opt.Progress = func(e tree.Event) { show(e) }
	}
	if ids == "" {
		return opt, nil
	}
	return opt, readMap(ids, opt)
}

// readMap reads the id maps that mergeaccounts wrote.
func readMap(file string, opt *tree.Options) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var ids struct {
		UID map[uint32]uint32 `json:"uid"`
		GID map[uint32]uint32 `json:"gid"`
	}
	if err := json.Unmarshal(data, &ids); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if ids.UID == nil || ids.GID == nil {
		return fmt.Errorf(`%s: want {"uid": {...}, "gid": {...}}`, file)
	}
	opt.UIDs, opt.GIDs = ids.UID, ids.GID
	return nil
}

// printer shows the changes of a dry run, one per line; with -json there is the report alone.
func printer(c *cli.Call) func(tree.Change) error {
	if c.JSON {
		return nil
	}
	return func(ch tree.Change) error {
		_, err := fmt.Fprintf(c.Stdout, "%s %q\n", ch.Op, ch.Path)
		return err
	}
}

// compare holds the copy against the source and adds what it finds to the report of the copy.
func compare(ctx context.Context, src tree.Source, to string, opt *tree.Options, how tree.How, report *tree.Report) error {
	v, err := tree.Verify(ctx, src, to, opt, how)
	if err != nil {
		return err
	}
	report.Verified, report.Mismatched = v.Verified, v.Mismatched
	report.Seconds += v.Seconds
	for _, p := range v.Problems {
		if !slices.Contains(report.Problems, p) { // what kept a name from being copied keeps it from being compared
			report.Problems = append(report.Problems, p)
		}
	}
	return nil
}
