//go:build !linux

package lockfile

import (
	"errors"
	"os"
)

// Mailbox works on Linux only; elsewhere it gives errors.ErrUnsupported.
func Mailbox(*os.File, string, *os.File, bool) (*MailboxLock, error) {
	return nil, errors.ErrUnsupported
}

// Touch does nothing.
func (*MailboxLock) Touch() error { return nil }

// Unlock does nothing.
func (*MailboxLock) Unlock() error { return nil }
