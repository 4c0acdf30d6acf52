package tree

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// admit counts an object of which st is known, and tells whether it is to be copied.
func (p *pass) admit(it *item) bool {
	st := &it.st
	if it.again {
		return st.typ() != unix.S_IFSOCK && p.planted(it) == nil && !lockName(it)
	}
	p.mu.Lock()
	p.rep.Files++
	if st.regular() {
		p.rep.Bytes += st.size
	}
	p.mu.Unlock()
	p.countIDs(st)
	if st.typ() == unix.S_IFSOCK {
		p.skip(it.path(), "copy", "socket")
		return false
	}
	if lockName(it) {
		if s, ok := p.do.(*syncer); !ok || !s.clearLock(it) {
			p.skip(it.path(), "copy", "lock of a mail program")
		}
		return false
	}
	if err := p.planted(it); err != nil {
		p.fail(it.path(), "copy", err)
		return false
	}
	return true
}

// planted refuses a hard link that somebody may have made in his own directory to a file of another: copied by root, it
// would become a second copy of what he may not read. Kernels before 3.6 let anybody do that.
func (p *pass) planted(it *item) error {
	owner := it.d.owner
	switch {
	case owner == 0:
	case it.st.regular() && it.st.nlink > 1 && it.st.uid != owner:
		return fmt.Errorf("hard link to a file of uid %d in a tree of uid %d", it.st.uid, owner)
	case it.st.device():
		// It may be harmless where it is, on a file system mounted nodev, and open a disk where it comes to.
		return fmt.Errorf("a device in a tree of uid %d", owner)
	}
	return nil
}

// lockName recognises dotlocks: carried to the target they would keep mailboxes locked there.
func lockName(it *item) bool {
	return it.st.regular() && it.st.size < 256 && strings.HasSuffix(it.name, ".lock") &&
		(it.d.mail || it.d.below || strings.HasPrefix(it.name, "dovecot"))
}
