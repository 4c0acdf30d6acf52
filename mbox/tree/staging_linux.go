package tree

import (
	"errors"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// stageFor gives the staging directory of a pair: in the nearest directory above its target that is on the same mount
// and is no mail folder, since Dovecot lists every name in one. A root that is copied whole has its staging directory
// inside, unless it is a mail folder itself: then beside it.
func (s *syncer) stageFor(r *pairRun) (*stage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.stage != nil {
		return r.stage, nil
	}
	fd, err := s.stageParent(r)
	if err != nil {
		return nil, err
	}
	if s.p.state.saved() { // when the directory is itself being copied, staging in it changes its time
		st, err := statFd(fd)
		if err == nil {
			up, base := splitPath(r.To)
			err = s.p.state.journal.intend(keyOf(up).name(base), &st)
		}
		if err != nil {
			return nil, err
		}
	}
	r.staged = true
	r.stage, err = newStage(fd, s.workers+1)
	return r.stage, err
}

func (s *syncer) stageParent(r *pairRun) (int, error) {
	last := r.chain[len(r.chain)-1]
	if r.To == "." {
		if !mailTop(last.fd) {
			return last.fd, nil
		}
		return s.beside(r)
	}
	if t, err := statAt(last.fd, path.Base(r.To)); err == nil && !t.sameMount(&last.st) {
		if !t.dir() {
			return -1, errors.New("is a mount point; a file there cannot be replaced")
		}
		fd, err := openDir(last.fd, path.Base(r.To))
		if err != nil {
			return -1, err
		}
		r.beside = append(r.beside, link{fd: fd, name: path.Base(r.To), st: t})
		if mailTop(fd) {
			return -1, errors.New("is a mail folder and a mount point; there is no place for staging on it")
		}
		return fd, nil
	}
	for i := len(r.chain) - 1; i > 0; i-- {
		l := r.chain[i]
		if !l.st.sameMount(&last.st) {
			break
		}
		if l.name != "mail" && l.name != "Maildir" && !mailTop(l.fd) {
			return l.fd, nil
		}
	}
	if r.chain[0].st.sameMount(&last.st) {
		return r.chain[0].fd, nil
	}
	return last.fd, nil // a spool that is a mount of its own: nobody lists it as folders
}

// beside gives the parent of a target root that is a mail folder.
func (s *syncer) beside(r *pairRun) (int, error) {
	fd, err := unix.Openat(s.p.dst, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	st, err := statFd(fd)
	if err != nil || !st.sameMount(&s.p.dstTop) || st.same(&s.p.dstTop) {
		closeFd(fd)
		return -1, errors.New("is a mail folder and there is no directory beside it for staging")
	}
	r.beside = append(r.beside, link{fd: fd, name: "..", st: st})
	return fd, nil
}

// mailTop recognises a Maildir and a directory of mbox folders.
func mailTop(fd int) bool {
	for _, n := range []string{".imap", "cur", "maildirfolder"} {
		if _, err := statAt(fd, n); err == nil {
			return true
		}
	}
	return false
}

// sweepPair removes what dead runs left where this pair would stage; each directory is looked through once.
func (s *syncer) sweepPair(r *pairRun) {
	fd, err := s.stageParent(r)
	if err != nil {
		return // nothing can have been staged; who stages now will say so
	}
	st, err := statFd(fd)
	if err == nil && !s.swept[inodeOf(&st)] {
		s.swept[inodeOf(&st)] = true
		err = sweep(fd)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		s.p.fail(r.To, "sweep", err)
	}
}
