package tree

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/mbox"
)

// Mailboxes goes through the mailboxes at and below name, a slash path below root that holds no symbolic link: name itself
// when it is an mbox, as /var/mail/USER; the mboxes in a directory called mail and below it, empty ones included, for an
// empty file there is an empty folder; and every Maildir, its folders included. folders are further directories of mboxes, or
// mboxes, below name, as a server's mail_location names them; "." is name itself. Indexes are not mailboxes. The order is
// that of the names. Links are not followed. What cannot be read is yielded with its error, and the walk goes on; an
// absent name has no mailboxes.
func Mailboxes(root *os.Root, name string, folders ...string) iter.Seq2[string, error] {
	inMail := map[string]bool{}
	for _, f := range folders {
		inMail[path.Join(name, f)] = true
	}
	return func(yield func(string, error) bool) {
		info, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			yield(name, err)
		case info.IsDir():
			walkMailboxes(root, name, inMail, path.Base(name) == "mail" || inMail[path.Clean(name)], yield)
		default:
			yieldMbox(root, name, info, true, yield)
		}
	}
}

// walkMailboxes returns false when the caller wants no more. inMail: dir is a directory called mail or one of folders, or below one.
func walkMailboxes(root *os.Root, dir string, folders map[string]bool, inMail bool, yield func(string, error) bool) bool {
	entries, err := readDir(root, dir)
	if err != nil {
		return yield(dir, err)
	}
	has := map[string]bool{}
	for _, e := range entries {
		has[e.Name()] = e.IsDir()
	}
	maildir := has["cur"] && has["new"] && has["tmp"]
	if maildir && !yield(dir, nil) {
		return false
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case maildir && (e.Name() == "cur" || e.Name() == "new" || e.Name() == "tmp"), e.Name() == ".imap":
		case e.IsDir():
			if !walkMailboxes(root, name, folders, inMail || e.Name() == "mail" || folders[name], yield) {
				return false
			}
		case (inMail || folders[name]) && !maildir && e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				continue // gone since
			}
			if !yieldMbox(root, name, info, !strings.HasPrefix(e.Name(), "."), yield) {
				return false
			}
		}
	}
	return true
}

// yieldMbox yields a regular file that begins as an mbox does or, where empty folders are known as such, is empty.
func yieldMbox(root *os.Root, name string, info fs.FileInfo, emptyToo bool, yield func(string, error) bool) bool {
	if !info.Mode().IsRegular() {
		return true
	}
	if info.Size() == 0 {
		return !emptyToo || yield(name, nil)
	}
	kind, err := mbox.Detect(root, name)
	if err == nil && kind != mbox.Mbox {
		return true
	}
	return yield(name, err)
}

func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}
