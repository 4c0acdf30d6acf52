package tree

import "path"

// isMailbox goes by the same rule as pass.mailbox.
func (s *server) isMailbox(p string, fd int) bool {
	up, below := path.Dir(p), false
	for d := up; d != "."; d = path.Dir(d) {
		switch path.Base(d) {
		case ".imap":
			return false
		case "mail":
			below = true
		}
	}
	if !below || messageDir(path.Base(up)) {
		return false
	}
	if path.Base(up) == "mail" {
		return true
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
