package lockfile

import "os"

// MailboxLock is what Mailbox took. It is for one goroutine at a time.
type MailboxLock struct {
	// DotlockSkipped says why there is no NAME.lock: the directory does not allow one (EACCES, EPERM, EROFS, ENOSPC,
	// EDQUOT, ENAMETOOLONG), or one of a dead process is there and cannot be removed. Programs that only know dotlocks are not kept away then. Nil when the dotlock was made.
	DotlockSkipped error

	dir     *os.File // borrowed from the caller, like file
	file    *os.File
	name    string
	lock    string   // name of the dotlock
	dotlock *os.File // the dotlock itself, nil: none
	content string
	record  bool // the fcntl lock is held
	flocked bool
}
