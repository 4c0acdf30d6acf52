// Package tree copies trees of homes and mail from one host's file tree to another's, and on a second pass only what
// changed. It runs as root over directories that other people own and write to while it reads them.
//
// The promise: a name at the target holds the old object or the whole new one, never half of it. Type, mode, owner
// (through the id maps, inside ACLs too), times to the nanosecond, extended attributes, file flags (chattr), hard links,
// holes and symbolic links as text are kept. No symbolic link is followed, no FIFO or device is opened, no mount is
// crossed. A mailbox is copied under its locks; its index directory is read before it and gets its place after it, or not
// at all, for an index that is newer than its mailbox makes Dovecot renumber messages. What could not be done is listed,
// and the rest goes on.
//
// With a state file the cost of a pass grows with what changed. A directory of messages (cur and new of a Maildir, which has
// tmp, too) whose inode, times, owner and mode are on both sides as the last pass left them is not even listed: no message
// came, went or got other flags. All other files are looked at one by one. A message that got other flags or went to another folder is renamed at
// the target, a further hard link is linked; of an mbox that changed, only messages and headers that are new are taken
// from the source, and the result is compared with the source before it gets its name. Times say nothing after a restart,
// when the clock was set, or about what changed less than two seconds before it was looked at: then names, or all, are
// compared. A sample of what was trusted is checked in each pass (Options.Canaries). Report.Guarantees tells how much is
// known in which way.
//
// Not promised: the inode change time and the birth time, SELinux labels and IMA/EVM signatures (they belong to a host's
// policy and keys), sockets. In a directory that did not change, what somebody does to a message in place - content with
// the time put back, mode, owner, attributes - is seen by Verify and by a canary that happens to be there only. A file
// that never stands still is copied, published and listed as a problem. The index of an inbox lies in the home: give both
// as pairs, the home first, and they are one unit.
//
//	rep, err := tree.Sync(ctx, tree.Dir("/mnt/old"), "/", &tree.Options{
//		UIDs:  map[uint32]uint32{500: 1001},
//		Pairs: []tree.Pair{{From: "home/alice", To: "home/alice"}, {From: "var/mail/alice", To: "var/mail/alice"}},
//		State: "/var/lib/mailmove/sync.db",
//	})
package tree

import (
	"fmt"
	"time"
)

// Pair names one thing to copy: a directory with all below it, or a single file such as a mailbox. From need not exist: a
// user without mail has no inbox.
type Pair struct {
	From string `json:"from"` // slash path below the source root
	To   string `json:"to"`   // slash path below the target root
}

// Options says what to copy and how. A nil *Options means every default.
type Options struct {
	// UIDs and GIDs map numeric ids of the source to those of the target, for owners and inside ACLs. An id that a
	// map does not name keeps its number and is counted in the report. nil: all numbers stay, nothing is counted.
	UIDs, GIDs map[uint32]uint32
	// State is the file that keeps what earlier passes saw and wrote. With it a second pass reads only what
	// changed, recognises renames, and may delete. "": every pass compares afresh. A short-lived State.journal
	// stands beside it while a later pass runs.
	State string
	// Delete removes from the target what vanished from the source, after all else, and only what State proves to
	// have been written by an earlier pass and not changed at the target since.
	Delete bool
	// LockWait is how long a mailbox that others keep locked is tried again before it is given up and listed among the
	// problems. 0: 10 seconds.
	LockWait time.Duration
	// Canaries is how many of the directories that a pass takes as unchanged without listing them are checked all the same,
	// drawn by chance: up to 64 names of each 32768 by their stat, four byte by byte. One that differs makes the pass compare
	// everything.
	// 0: 2; negative: none.
	Canaries int
	// Pairs are copied in this order; give a home before the inbox whose index it holds. nil: the whole source
	// root goes into the target root.
	Pairs []Pair
	// Expect is how many objects the source has, directories left out, by a plan's count; it is only told to Progress.
	// 0: as many as the last complete pass found.
	Expect int64
	// Progress is called after each object that was dealt with, never from two goroutines at once; a directory below which
	// nothing changed may be one. nil: not called.
	Progress func(Event)
}

// Op names what happens to one object.
type Op string

// The operations of a Change and of an Event.
const (
	OpCreate    Op = "create"    // not at the target yet: everything is copied
	OpUpdate    Op = "update"    // content differs: built anew and put in place of the old
	OpMetadata  Op = "metadata"  // content is the same; owner, mode, times or attributes differ
	OpRename    Op = "rename"    // a message that got another name at the source: renamed at the target, no data
	OpLink      Op = "link"      // a further name of a file that is already there
	OpDelete    Op = "delete"    // vanished at the source
	OpUnchanged Op = "unchanged" // nothing to do; in events only
)

// Change is one thing that Sync would do.
type Change struct {
	Op    Op     `json:"op"`
	Path  string `json:"path"`           // below the target root
	From  string `json:"from,omitempty"` // of a rename or link: the present name below the target root
	Bytes int64  `json:"bytes"`          // content bytes that would be written

	seen tuple // of Changed: what is there then, so that the same name changed once more is another Change
}

// Event tells about one object that was dealt with.
type Event struct {
	Op    Op
	Path  string // below the target root
	Pair  int    // index into Options.Pairs
	Files int64  // dealt with so far, in all
	Bytes int64  // content bytes written so far, in all

	Expected int64         // of Files at the end; 0: nobody knows
	Elapsed  time.Duration // since the pass began
}

// Rate is how many content bytes were written a second so far.
func (e Event) Rate() float64 {
	if e.Elapsed <= 0 {
		return 0
	}
	return float64(e.Bytes) / e.Elapsed.Seconds()
}

// Left guesses how long the pass still takes, from the objects that it has dealt with; 0: no guess.
func (e Event) Left() time.Duration {
	if e.Files <= 0 || e.Expected <= e.Files {
		return 0
	}
	return time.Duration(float64(e.Elapsed) * float64(e.Expected-e.Files) / float64(e.Files))
}

// String is one line for a person; control characters of the path are escaped.
func (e Event) String() string {
	of, left := "", ""
	if e.Expected > 0 {
		of = fmt.Sprintf(" of %d", e.Expected)
	}
	if l := e.Left(); l > 0 {
		left = fmt.Sprintf(", %s left", l.Round(time.Second))
	}
	return fmt.Sprintf("%d%s objects, %s copied at %s/s%s; %q", e.Files, of, size(e.Bytes), size(int64(e.Rate())), left, e.Path)
}

// Problem is one thing that could not be done, or was not as it should be. Its text never holds file content.
type Problem struct {
	Path  string `json:"path"` // below the target root; may hold any byte but NUL
	Op    string `json:"op"`
	Error string `json:"error"`
}

// How says how thoroughly Verify compares.
type How string

// The depths of Verify.
const (
	ByStat How = "stat" // type, size, mode, owner, modification time, attributes, link texts
	ByHash How = "hash" // also the content
)
