package tree

import (
	"context"
	"io"
)

// Remote is the file tree of another host, reached through a shell there. Nothing is installed on that host and nothing is
// written: GNU find makes the manifest and GNU tar sends what is wanted of it, both as of 2010, together with xargs, grep, and
// head, chroot, dd, base64, cksum and sha256sum of the coreutils. The shell must be root's. Files are read with the rights of
// their owner and of no group, so that a link that a user swaps in reads nothing of others; what only root can read, or lies
// where others may swap it, is read in a directory that was entered first and asked where it is, and only when it still is what
// was listed.
//
// Of a large file that changed only parts come: one of 1 MiB or more, here and there, without holes, that is neither a message
// nor an index. An mbox is laid over its old copy by the From_ lines and the headers that mail programs rewrite, which
// grep finds; anything else by its offsets. What is new is sent, and a SHA-256 of the whole file proves the result. Where it
// does not, sums of blocks say what else differs, and where that is much, or grep, dd, base64 or cksum is absent, the file is
// sent whole.
//
// Compared with a Dir: mailboxes are not locked, one that changes while it is read is read again or left for the next
// pass; a message that is renamed meanwhile is left for the next pass, and nothing is deleted in a pair in which a directory
// changed meanwhile; any other file that changed is sent whole; paths of more than 3800 bytes are problems; file flags (chattr),
// attributes of what is neither a file nor a directory and, where tar does not know --xattrs-include (before 1.27), extended
// attributes and ACLs are not carried; attributes are compared only where the time of change says that they may differ, and not
// by Verify. With Helper all of that is as with a Dir.
type Remote struct {
	// Root is the tree on that host; "" is "/".
	Root string
	// Start runs a script of a POSIX shell there, sh -c script sh args..., and gives what it writes to stdout; Close waits for
	// it and tells how it ended. stdin may be nil.
	Start func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error)
	// Helper is the command on that host that answers as Serve does, where a program can be run there. Empty: find and tar.
	Helper []string

	sessions sessions
}

func (*Remote) isSource() {}
