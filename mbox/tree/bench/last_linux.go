package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

// farLastPass races the last pass of a cutover: a moment ago all was copied, a handful of messages changed since, and the program
// on the other host and the connection are there.
func (b *bench) farLastPass() error {
	dest, stop, err := b.sshd(nil)
	if err != nil {
		return err
	}
	defer stop()
	for _, n := range b.last {
		if err := b.lastPass(dest, n); err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(b.path("src")), os.RemoveAll(b.path("dst"))); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) lastPass(dest string, n int) error {
	src, target := b.path("src"), b.path("dst")
	if err := b.maildirs(src, n, b.perFolder, func(int) int { return 300 }); err != nil {
		return err
	}
	if err := b.copied(src, target, us, "rsync"); err != nil {
		return err
	}
	remote, leave, err := b.remote(dest, src)
	if err != nil {
		return err
	}
	defer leave()
	opt := &tree.Options{State: filepath.Join(target, "state", us), Delete: true, Canaries: -1}
	ours := runner{name: us, do: func() error {
		rep, err := tree.Sync(b.ctx, remote, filepath.Join(target, us), opt)
		if err == nil && len(rep.Problems) > 0 {
			err = fmt.Errorf("%d problems, the first: %v", len(rep.Problems), rep.Problems[0])
		}
		return err
	}}
	theirs := b.farCopiers(dest, src, target)[2]
	for _, r := range []runner{ours, ours, theirs} { // twice for us, as in farNoChange
		if err := b.once(target, r, &result{}); err != nil {
			return fmt.Errorf("first pass of %s: %w", r.name, err)
		}
	}
	runners := []runner{ours, theirs}
	results, err := b.race(target, func(round int) error { return readSome(src, round) }, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("ssh: last pass, %d files", n)
	b.add(name, 0, runners, results)
	b.faster(name, results, rsyncSSH, 2)
	return nil
}

// readSome marks a message as read in each of at most ten folders.
func readSome(src string, round int) error {
	folders, err := filepath.Glob(filepath.Join(src, "home/*/Maildir/cur"))
	if err != nil {
		return err
	}
	for i := range min(10, len(folders)) {
		dir := folders[(round*10+i)%len(folders)]
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ",") {
				if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, e.Name()+"S")); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// remote connects and puts copymail there, as a migration does long before its last pass.
func (b *bench) remote(dest, src string) (r *tree.Remote, leave func(), err error) {
	host, err := hostcmd.Connect(b.ctx, dest)
	if err != nil {
		return nil, nil, err
	}
	placed, err := host.Place(b.ctx, b.us, "-h")
	if err != nil {
		return nil, nil, errors.Join(err, host.Close())
	}
	r = &tree.Remote{Root: src, Helper: []string{placed.Path, "serve"}, Start: func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		return host.Start(ctx, stdin, "sh", append([]string{"-c", script, "sh"}, args...)...)
	}}
	end := r.Keep()
	return r, func() {
		end()
		_ = placed.Remove()
		host.Close()
	}, nil
}
