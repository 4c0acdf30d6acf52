package mbox

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Kind is what a file or a directory holds.
type Kind int

// The kinds.
const (
	None    Kind = iota // no mailbox that can be told from its looks, such as an empty file or a plain directory
	Mbox                // a regular file that begins with "From "
	Maildir             // a directory with cur, new and tmp
	Dbox                // a directory of Dovecot's sdbox or mdbox: nothing here can read or copy it message by message
)

// String is "none", "mbox", "maildir" or "dbox".
func (k Kind) String() string {
	switch k {
	case Mbox:
		return "mbox"
	case Maildir:
		return "maildir"
	case Dbox:
		return "dbox"
	}
	return "none"
}

// IsMbox tells whether a file that begins with head looks like an mbox. Five bytes are enough. Whether Dovecot opens it
// depends on the whole first line: see Summary.Refused. An empty mbox is an empty file, which looks like nothing.
func IsMbox(head []byte) bool { return bytes.HasPrefix(head, fromPrefix) }

// Detect tells what the file or directory name below root is. Symbolic links, devices and FIFOs are None and not opened.
func Detect(root *os.Root, name string) (Kind, error) {
	dir, base, err := enter(root, name)
	if err != nil {
		return None, err
	}
	defer dir.Close()
	info, err := dir.Lstat(base)
	switch {
	case err != nil:
		return None, located(err, name)
	case info.IsDir():
		kind, err := detectDir(dir, base)
		return kind, located(err, name)
	case !info.Mode().IsRegular():
		return None, nil
	}
	f, _, err := openFile(dir, base)
	if err != nil {
		return None, located(err, name)
	}
	defer f.Close()
	head := make([]byte, len(fromPrefix))
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err == nil && IsMbox(head[:n]) {
		return Mbox, nil
	}
	return None, err
}

func detectDir(dir *os.Root, base string) (Kind, error) {
	box, err := descend(dir, base)
	if err != nil {
		return None, err
	}
	defer box.Close()
	for _, sub := range []string{"dbox-Mails", "mailboxes/INBOX/dbox-Mails"} {
		if ok, err := isDir(box, sub); ok || err != nil {
			return Dbox, err
		}
	}
	for sub, prefix := range map[string]string{".": "u.", "storage": "m."} {
		if ok, err := hasNumbered(box, sub, prefix); ok || err != nil {
			return Dbox, err
		}
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if ok, err := isDir(box, sub); !ok || err != nil {
			return None, err
		}
	}
	return Maildir, nil
}

func isDir(box *os.Root, name string) (bool, error) {
	info, err := box.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

// hasNumbered looks for files like m.1 or u.1 in the directory sub.
func hasNumbered(box *os.Root, sub, prefix string) (bool, error) {
	if ok, err := isDir(box, sub); !ok || err != nil {
		return false, err
	}
	list, err := names(box, sub)
	for _, name := range list {
		number, ok := strings.CutPrefix(name, prefix)
		if _, rest := decimal([]byte(number)); ok && number != "" && len(rest) == 0 {
			return true, nil
		}
	}
	return false, err
}
