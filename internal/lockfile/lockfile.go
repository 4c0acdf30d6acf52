// Package lockfile takes the locks that other programs respect: those of the account files and those of a mailbox.
//
// Passwd keeps useradd, passwd, vipw and their like away from etc/passwd and its companions. Mailbox keeps Dovecot,
// Postfix, procmail and other mail programs away from one mbox file. Both leave nothing behind but etc/.pwd.lock, which
// lckpwdf(3) never removes either, and both know the lock of a dead process of this host and take it over.
//
// Not promised: protection against programs that take no lock (an editor, most configuration management). Process ids in
// lock files have a meaning on their own host and in their own container only; from outside of it a living process may
// look dead. For the account files the kernel's lock on .pwd.lock, which counts everywhere, is taken first.
//
//	lock, err := lockfile.Passwd(ctx, root, 0)
//	if err != nil {
//		return err // errors.Is(err, lockfile.ErrLocked): who holds it is in *lockfile.HeldError
//	}
//	defer lock.Unlock()
package lockfile

import (
	"errors"
	"fmt"
)

// ErrLocked says that another process holds a lock. The error that wraps it is a *HeldError.
var ErrLocked = errors.New("locked by another process")

// ErrReplaced says that the open mailbox no longer is the file of that name; it has to be opened again.
var ErrReplaced = errors.New("is no longer the file that was opened")

// HeldError names a lock that could not be had.
type HeldError struct {
	Path string // the lock file, or the locked file itself, as the caller knows it
	PID  int    // the process that holds it; 0 when unknown
	Why  string // what was found in its place when that is no lock of a living process; else empty
}

// Error gives path, process and reason in one line.
func (e *HeldError) Error() string {
	switch {
	case e.Why != "":
		return e.Path + ": " + e.Why
	case e.PID > 0:
		return fmt.Sprintf("%s: locked by process %d", e.Path, e.PID)
	}
	return e.Path + ": " + ErrLocked.Error()
}

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *HeldError) Unwrap() error { return ErrLocked }
