package tree

import (
	"context"
	"io"
)

// Remote is the file tree of another host, reached through a shell there. Nothing is installed on that host and nothing is
// written: GNU find makes the manifest and GNU tar sends what is wanted of it, both as of 2010, together with head, xargs,
// chroot and sha256sum of the coreutils. The shell must be root's. Files are read with the rights of their owners, so
// that a link that a user swaps in reads nothing of others.
//
// Compared with a Dir: mailboxes are not locked, one that changes while it is read is read again or left for the next
// pass; directories are listed even when nothing changed in them; file flags (chattr) and, where tar does not
// know --xattrs-include (before 1.27), extended attributes and ACLs are not carried. With Helper all of that is as with a Dir.
type Remote struct {
	// Root is the tree on that host; "" is "/".
	Root string
	// Start runs a script of a POSIX shell there, sh -c script sh args..., and gives what it writes to stdout; Close waits for
	// it and tells how it ended. stdin may be nil.
	Start func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error)
	// Helper is the command on that host that answers as Serve does, where a program can be run there. Empty: find and tar.
	Helper []string
}

func (*Remote) isSource() {}
