package mbox

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// at, in tests only, runs before each system call that changes something that lasts.
var atStep func(op, name string) error

func at(op, name string) error {
	if atStep == nil {
		return nil
	}
	return atStep(op, name)
}

// job is the private directory of one mailbox that is being archived. It is locked (flock) for as long as its process
// lives, so that what can be locked is left over. Without a journal nothing outside has been written.
type job struct {
	path string
	dir  *os.File
}

const jobPrefix = "job-"

// journal is what a later process needs to complete a job or to take it back. It is replaced as a whole.
type journal struct {
	Version int    `json:"version"` // 1
	State   string `json:"state"`   // archiving, rewriting

	Mailbox string `json:"mailbox"`
	Dev     uint64 `json:"dev"`
	Ino     uint64 `json:"ino"`
	Size    int64  `json:"size"`     // of the mailbox as it was
	From    int64  `json:"from"`     // first byte that changes
	NewSize int64  `json:"new_size"` // as it will be
	Head    uint32 `json:"head"`     // checksum of the bytes before From
	Tail    string `json:"tail"`     // file with the bytes from From on
	SHA256  string `json:"sha256"`   // of that file
	Sums    string `json:"sums"`     // file with the checksums of the old bytes from From on

	Accessed [2]int64 `json:"accessed"` // atime of the mailbox as it was: seconds and nanoseconds
	Modified [2]int64 `json:"modified"` // mtime

	Archives []journalArchive `json:"archives"`
}

// The states of a journal: messages are being added to archives, and taken back from there; or all archives are complete
// and the mailbox is being rewritten, and will be.
const (
	archiving = "archiving"
	rewriting = "rewriting"
)

type journalArchive struct {
	Path   string `json:"path"`
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Size   int64  `json:"size"`  // as it was
	Made   bool   `json:"made"`  // it did not exist
	Added  string `json:"added"` // file with the bytes that are appended
	Bytes  int64  `json:"bytes"` // of that file
	SHA256 string `json:"sha256"`
}

// openJournal makes the directory for jobs, or refuses one that others may enter.
func openJournal(path string) error {
	if path == "" {
		return errors.New("no directory for the journal is named")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s: want a directory", path)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s: belongs to another user", path)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s: mode %04o, want 0700: mail lies there for a moment", path, st.Mode&0o777)
	}
	return nil
}

// newJob makes a job and locks it. Somebody who tidies up may have come first; then another is made.
func newJob(journal string) (*job, error) {
	for range 10 {
		path := filepath.Join(journal, jobPrefix+rand.Text())
		if err := at("mkdir", path); err != nil {
			return nil, err
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		if j, err := lockJob(path); err == nil {
			return j, nil
		}
	}
	return nil, fmt.Errorf("%s: directories are removed by another process", journal)
}

var errAlive = errors.New("another process is at work")

// lockJob opens a job that no living process works on.
func lockJob(path string) (*job, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	j := &job{path: path, dir: os.NewFile(uintptr(fd), path)}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		j.dir.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: errAlive}
	}
	now, err := os.Lstat(path)
	was, err2 := j.dir.Stat()
	if err != nil || err2 != nil || !os.SameFile(now, was) {
		j.dir.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: errAlive}
	}
	return j, nil
}

// create makes a file of the job.
func (j *job) create(name string) (*os.File, error) {
	if err := at("create", name); err != nil {
		return nil, err
	}
	return os.OpenFile(j.file(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (j *job) file(name string) string { return filepath.Join(j.path, name) }

// write puts the journal on stable storage, in place of an older one.
func (j *job) write(w *journal) error {
	data, err := json.MarshalIndent(w, "", " ")
	if err != nil {
		return err
	}
	_ = os.Remove(j.file("journal.new")) // of a process that was killed
	f, err := j.create("journal.new")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(data, '\n')); err != nil {
		return err
	}
	if err := flush(f); err != nil {
		return err
	}
	if err := at("rename", "journal"); err != nil {
		return err
	}
	if err := os.Rename(j.file("journal.new"), j.file("journal")); err != nil {
		return err
	}
	return flush(j.dir)
}

// read reads the journal; fs.ErrNotExist: there is none.
func (j *job) read() (*journal, error) {
	data, err := os.ReadFile(j.file("journal"))
	if err != nil {
		return nil, err
	}
	w := &journal{}
	if err := json.Unmarshal(data, w); err != nil {
		return nil, fmt.Errorf("%s: %w", j.file("journal"), err)
	}
	names := []string{w.Tail, w.Sums}
	for _, a := range w.Archives {
		names = append(names, a.Added)
	}
	for _, name := range names {
		if !filepath.IsLocal(name) || strings.Contains(name, "/") {
			return nil, fmt.Errorf("%s: file name %q", j.file("journal"), name)
		}
	}
	if w.Version != 1 || w.State != archiving && w.State != rewriting || w.From < 0 || w.From > min(w.Size, w.NewSize) {
		return nil, fmt.Errorf("%s: is not of this program's version", j.file("journal"))
	}
	return w, nil
}

// remove ends the job: the journal goes first, and without it the rest means nothing.
func (j *job) remove() error {
	defer j.dir.Close()
	if err := at("remove", "journal"); err != nil {
		return err
	}
	if err := os.Remove(j.file("journal")); err == nil {
		if err := flush(j.dir); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := at("remove", "job"); err != nil {
		return err
	}
	return os.RemoveAll(j.path)
}

func flush(f *os.File) error {
	if err := at("fsync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}
