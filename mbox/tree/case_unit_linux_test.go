package tree_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox/tree"
)

// A mailbox and its index are one unit (case 22): at the target the index is never newer than the mailbox. In these
// tests both hold a version number, and a program that obeys the rules writes the mailbox before the index.

type caseUnit struct{ box, index string }

var caseUnits = []caseUnit{
	{"home/alice/mail/Sent", "home/alice/mail/.imap/Sent/dovecot.index.log"},
	{"home/alice/mail/Lists/go", "home/alice/mail/Lists/.imap/go/dovecot.index.log"},
	{"var/mail/alice", "home/alice/mail/.imap/INBOX/dovecot.index.log"},
}

func (u caseUnit) write(t testing.TB, root string, version int) {
	t.Helper()
	caseWrite(t, filepath.Join(root, u.box), caseMessage(version, "body"))
	caseWrite(t, filepath.Join(root, u.index), fmt.Sprintf("Subject: s%d\n", version))
}

// caseVersion is that of a mailbox or an index; -1 when it is not there.
func caseVersion(path string) (n int, err error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return -1, nil
	}
	if err == nil {
		_, after, _ := strings.Cut(string(b), "Subject: s")
		_, err = fmt.Sscanf(after, "%d\n", &n)
	}
	return n, err
}

// look reads the index first: since both only grow, an index read earlier must not exceed a mailbox read later.
func (u caseUnit) look(root string) (box, index int, err error) {
	index, err1 := caseVersion(filepath.Join(root, u.index))
	box, err2 := caseVersion(filepath.Join(root, u.box))
	return box, index, errors.Join(err1, err2)
}

func (u caseUnit) versions(t testing.TB, root string) (box, index int) {
	t.Helper()
	box, index, err := u.look(root)
	require.NoError(t, err)
	return box, index
}

// An index that is older than its mailbox is harmless and is carried.
func TestCaseOlderIndexIsCarried(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice")
	for _, u := range caseUnits {
		u.write(t, src, 1)
	}
	caseSync(t, src, dst, opt)
	for _, u := range caseUnits {
		caseWrite(t, filepath.Join(src, u.box), caseMessage(2, "body"))
	}
	caseSync(t, src, dst, opt)
	for _, u := range caseUnits {
		box, index := u.versions(t, dst)
		require.Equal(t, []int{2, 1}, []int{box, index})
	}
}

// case 22: when the mailbox cannot be brought up to date, whatever the reason, neither is its index; later both are.
func TestCaseNewerIndexIsNeverPublished(t *testing.T) {
	for name, hinder := range map[string]func(t *testing.T, src, dst string, u caseUnit) (undo func()){
		"locked": func(t *testing.T, src, _ string, u caseUnit) func() {
			return caseHold(t, filepath.Join(src, u.box), "WRLCK")
		},
		"dotlock of a living process": func(t *testing.T, src, _ string, u caseUnit) func() {
			host, err := os.Hostname()
			require.NoError(t, err)
			lock := filepath.Join(src, u.box) + ".lock"
			caseWrite(t, lock, fmt.Sprintf("%d:%s", os.Getppid(), host))
			return func() { require.NoError(t, os.Remove(lock)) }
		},
		"changed at the target": func(t *testing.T, _, dst string, u caseUnit) func() {
			old, err := os.ReadFile(filepath.Join(dst, u.box))
			require.NoError(t, err)
			require.NoError(t, os.Rename(filepath.Join(dst, u.box), filepath.Join(dst, "kept")))
			caseWrite(t, filepath.Join(dst, u.box), string(old)+caseMessage(9, "arrived at the target"))
			return func() { require.NoError(t, os.Rename(filepath.Join(dst, "kept"), filepath.Join(dst, u.box))) }
		},
	} {
		for _, u := range caseUnits {
			t.Run(name+" "+filepath.Base(u.box), func(t *testing.T) {
				if strings.Contains(name, "lock") {
					tree.NotFrom(t, "plain", "takes no locks")
				}
				t.Parallel() // each waits for its lock
				src, dst, opt := caseRoots(t)
				opt.Pairs = casePairs("alice")
				for _, u := range caseUnits {
					u.write(t, src, 1)
				}
				caseSync(t, src, dst, opt)
				undo := hinder(t, src, dst, u)
				for _, u := range caseUnits {
					caseRewrite(t, src, u, 2)
				}
				rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
				require.NoError(t, err)
				require.Contains(t, caseProblems(rep), u.box)
				box, index := u.versions(t, dst)
				require.Equal(t, 1, box)
				for _, other := range caseUnits {
					if other != u {
						box, index := other.versions(t, dst)
						require.Equal(t, []int{2, 2}, []int{box, index}, "%s goes on", other.box)
					}
				}
				undo()
				require.LessOrEqual(t, index, box, "the index is newer than its mailbox")
				if name == "changed at the target" {
					return // its change time says that it was touched, and nothing that it is as it was
				}
				caseSync(t, src, dst, opt)
				box, index = u.versions(t, dst)
				require.Equal(t, []int{2, 2}, []int{box, index})
			})
		}
	}
}

// caseRewrite changes the files in place, for a lock holds to the inode.
func caseRewrite(t testing.TB, root string, u caseUnit, version int) {
	t.Helper()
	old := caseStat(t, filepath.Join(root, u.box))
	require.NoError(t, os.WriteFile(filepath.Join(root, u.box), []byte(caseMessage(version, "body")), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, u.index), []byte(fmt.Sprintf("Subject: s%d\n", version)), 0o600))
	require.Equal(t, old.Ino, caseStat(t, filepath.Join(root, u.box)).Ino)
}

// The mail program works all the time and takes its locks; at no moment has the target a newer index than mailbox.
func TestCaseIndexNeverOvertakes(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice")
	for _, u := range caseUnits {
		u.write(t, src, 1)
	}
	caseSync(t, src, dst, opt)
	var stop atomic.Bool
	written, sampled := make(chan error, 1), make(chan string, 1)
	go func() { written <- caseMailProgram(src, &stop) }()
	go func() { sampled <- caseWatchUnits(dst, &stop) }()
	passes := 0
	for end := time.Now().Add(time.Duration(caseScale()) * 1500 * time.Millisecond); time.Now().Before(end); passes++ {
		_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
		require.NoError(t, err)
	}
	stop.Store(true)
	require.NoError(t, <-written)
	seen := <-sampled
	caseSync(t, src, dst, opt)
	caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
	t.Logf("%d passes", passes)
	require.Empty(t, seen)
}

func caseWatchUnits(root string, stop *atomic.Bool) (bad string) {
	for !stop.Load() && bad == "" {
		for _, u := range caseUnits {
			if box, index, err := u.look(root); err != nil || index > box {
				bad = fmt.Sprintf("%s: index of version %d beside a mailbox of version %d", u.box, index, box)
			}
		}
	}
	return bad
}

// caseMailProgram writes versions as Dovecot does: under the locks, by replacing what a reader must not see half.
func caseMailProgram(root string, stop *atomic.Bool) error {
	for version := 2; !stop.Load(); version++ {
		for _, u := range caseUnits {
			box := filepath.Join(root, u.box)
			f, err := os.OpenFile(box, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
			if err == nil {
				_, err = f.WriteAt([]byte(fmt.Sprintf("Subject: s%09d\n", version)), int64(strings.Index(caseMessage(1, ""), "Subject")))
			}
			if err == nil {
				err = caseReplace(filepath.Join(root, u.index), fmt.Sprintf("Subject: s%09d\n", version))
			}
			f.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func caseReplace(path, text string) error {
	if err := os.WriteFile(path+".tmp", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
