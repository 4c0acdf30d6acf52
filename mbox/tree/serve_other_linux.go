package tree

import "path"

// mailboxesIn goes by the same rule as pass.mailbox: all files in a directory of that name are mailboxes, those further down
// when they look like one.
func mailboxesIn(dir string) (all, some bool) {
	for d := dir; d != "."; d = path.Dir(d) {
		switch path.Base(d) {
		case ".imap":
			return false, false
		case "mail":
			some = true
		}
	}
	return path.Base(dir) == "mail", some && !messageDir(path.Base(dir))
}

// isMailbox tells whether a file of the directory that is open is one.
func (s *server) isMailbox(fd int) bool {
	if s.mail || !s.box {
		return s.mail
	}
	b := make([]byte, 5)
	return readFull(fd, b, 0) == nil && string(b) == "From "
}

// sendOther describes what has no content.
func (s *server) sendOther(q *asked, dir int, name string, st *stat) error {
	open, pathFd := openPath, true
	if st.dir() {
		open, pathFd = openDir, false
	}
	fd, err := openSame(dir, name, st, open)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	as, err := attrsOf(fd, pathFd)
	if err != nil {
		return err
	}
	return s.post(&parcel{kind: parcelObject, place: q.place, st: *st, attrs: encodeAttrs(as)})
}
