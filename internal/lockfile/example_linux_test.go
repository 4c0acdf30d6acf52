package lockfile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mailmove/mailmove/internal/lockfile"
)

func ExamplePasswd() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	os.Mkdir(filepath.Join(dir, "etc"), 0o755)
	root, _ := os.OpenRoot(dir)
	defer root.Close()

	lock, err := lockfile.Passwd(context.Background(), root, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lock.Unlock()
	_, err = lockfile.Passwd(context.Background(), root, time.Millisecond)
	fmt.Println(errors.Is(err, lockfile.ErrLocked), err)
	// Output: true etc/.pwd.lock: locked by another process
}

func ExampleMailbox() {
	path, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(path)
	os.WriteFile(filepath.Join(path, "alice"), nil, 0o600)
	dir, _ := os.Open(path)
	defer dir.Close()
	f, _ := os.OpenFile(filepath.Join(path, "alice"), os.O_RDWR, 0)
	defer f.Close()

	lock, err := lockfile.Mailbox(dir, "alice", f, true)
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		fmt.Println("busy, try again later:", held)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("dotlock skipped:", lock.DotlockSkipped)
	fmt.Println(lock.Touch(), lock.Unlock())
	// Output:
	// dotlock skipped: <nil>
	// <nil> <nil>
}
