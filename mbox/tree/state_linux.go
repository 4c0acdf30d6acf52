package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// Buckets of the state file.
var (
	bucketMeta  = []byte("meta")  // facts about the pass: boot_id, roots, devices of each pair
	bucketDirs  = []byte("dirs")  // dirKey -> dirRecord
	bucketNames = []byte("names") // dirKey + number of the segment -> its names
	bucketFew   = []byte("few")   // the same for short lists, which are wanted far more often
)

// buckets are those that records are put into. None of their names begins as another does.
var buckets = [][]byte{bucketDirs, bucketFew, bucketNames}

// mapSize is the address space that a state file gets at first; growing it later means copying what is being written.
const mapSize = 64 << 20

// flushAt is how many bytes of records are kept in memory before they are made durable together: one syncfs for all of
// them costs a fraction of an fsync for each.
var flushAt = 8 << 20

// unmapAfter is how many looks into the file map at most some 16 MiB of it.
const unmapAfter = 64

// state is what earlier passes saw, a record a directory. Without a file it answers that nothing is known. One goroutine
// reads and flushes; any may put.
type state struct {
	db      *bbolt.DB
	path    string
	broken  error // the file turned out to be damaged: nothing is known, and nothing is to be done
	tx      *bbolt.Tx
	journal *journal
	known   bool // an earlier pass saved something for these two roots
	idle    bool // read only: Diff

	reading sync.Mutex // a transaction is for one goroutine at a time
	looks   int        // into the file

	mu      sync.Mutex
	pending map[string][]byte // by bucket and key, see put; nil: removed
	older   map[string][]byte // being saved
	size    int
	meta    map[string]string
	hard    bool // something is pending that must be saved; else a later pass merely knows less
}

func noState() *state {
	return &state{pending: map[string][]byte{}, meta: map[string]string{}}
}

// openState opens or, unless idle, makes the state file.
func openState(path string, idle bool) (*state, error) {
	s := noState()
	s.idle = idle
	if path == "" {
		return s, nil
	}
	if _, err := os.Stat(path); idle && errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	var db *bbolt.DB
	err := guarded(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: idle, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapSize})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	s.db, s.path = db, path
	s.journal, err = openJournal(path + ".journal")
	if err == nil {
		err = s.reread()
	}
	if err == nil {
		err = s.whole()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// errDamaged says that a state file is not as it was saved: a bad disk, or somebody's hand. Without it, everything is
// compared afresh, and what differs at the target is left alone.
var errDamaged = errors.New("is damaged; restore it from a backup or move it away")

// guarded turns the panics by which bbolt tells of a damaged file into errors.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // the file is mapped, and may end early
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("state file %s: %w", path, errDamaged)
		}
	}()
	return f()
}

// whole checks that no page is beyond the end of the file.
func (s *state) whole() error {
	info, err := os.Stat(s.path)
	if err == nil && info.Size() < s.tx.Size() {
		err = fmt.Errorf("state file %s: %w", s.path, errDamaged)
	}
	return err
}

func (s *state) saved() bool { return s.db != nil }

func (s *state) reread() (err error) {
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	s.tx, err = s.db.Begin(false)
	return err
}

func (s *state) close() error {
	var errs []error
	if s.tx != nil {
		errs = append(errs, s.tx.Rollback())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// lookup gives the bytes of one record, pending or saved.
func (s *state) lookup(bucket []byte, key string) (v []byte) {
	s.show(bucket, key, func(b []byte) { v = bytes.Clone(b) })
	return v
}

// show has f look at the bytes of one record, pending or saved, and tells whether there is one.
func (s *state) show(bucket []byte, key string, f func([]byte)) bool {
	if s.db == nil {
		return false
	}
	s.mu.Lock()
	v, newer := s.pending[string(bucket)+key]
	if !newer {
		v, newer = s.older[string(bucket)+key]
	}
	s.mu.Unlock()
	if !newer {
		return s.inFile(bucket, key, f)
	}
	if v != nil {
		f(v)
	}
	return v != nil
}

// isPending tells whether there is something newer than the file about a directory.
func (s *state) isPending(bucket []byte, k dirKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(bucket) + string(k[:])
	_, now := s.pending[key]
	_, before := s.older[key]
	return now || before
}

func (s *state) fromFile(bucket []byte, key string) (v []byte) {
	s.inFile(bucket, key, func(b []byte) { v = bytes.Clone(b) })
	return v
}

// inFile has f look at the bytes of one saved record, which are good until f returns, and tells whether there is one.
func (s *state) inFile(bucket []byte, key string, f func([]byte)) (found bool) {
	if s.tx == nil || s.broken != nil {
		return false
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.looks++; s.looks%unmapAfter == 0 {
		s.unmap(s.tx)
	}
	err := guarded(s.path, func() error {
		b := s.tx.Bucket(bucket)
		if b == nil {
			return nil
		}
		if v := b.Get([]byte(key)); v != nil {
			found = true
			f(v)
		}
		return nil
	})
	if err != nil {
		s.broken = err
	}
	return found
}

// dir returns what is known of a directory, nil when nothing is.
func (s *state) dir(k dirKey) *dirRecord {
	b := s.lookup(bucketDirs, string(k[:]))
	if b == nil {
		return nil
	}
	r, err := decodeDir(b)
	if err != nil {
		s.broken = fmt.Errorf("state file %s: %w", s.path, errDamaged)
		return nil
	}
	return r
}

// mine tells whether the target is as a pass of ours left it: as recorded, or as a pass that died was making it. t is
// nil when there is nothing at the target.
func (s *state) mine(key string, dst *tuple, t *stat) bool {
	if t != nil && dst.untouched(t) {
		return true
	}
	return s.journal.explains(key, t)
}

// dirAt returns what is known of a directory that is at the target, if that is what we left there or were making when
// we died; else nil.
func (s *state) dirAt(path string, t *stat) *dirRecord {
	rec := s.dir(keyOf(path))
	if rec != nil && (rec.dst.ino == t.ino || s.mine(nameKey(path), &rec.dst, t)) {
		return rec
	}
	if rec == nil && s.journal.explains(nameKey(path), t) {
		return &dirRecord{path: path, segments: 1}
	}
	return nil
}

// put keeps a record until the next flush; nil removes it. soft: it only saves a later pass some work and is not worth
// touching the file for.
func (s *state) put(bucket []byte, key string, v []byte, soft bool) {
	if s.db == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[string(bucket)+key] = v
	s.size += len(key) + len(v)
	s.hard = s.hard || !soft
}

// each calls f for the records of all directories at and below a path; a record is f's to keep.
func (s *state) each(path string, f func(*dirRecord)) error {
	if s.tx == nil || s.broken != nil {
		return s.broken
	}
	return guarded(s.path, func() error {
		b := s.tx.Bucket(bucketDirs)
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, v []byte) error {
			r, err := decodeDir(v)
			if err == nil && (path == "." || r.path == path || strings.HasPrefix(r.path, path+"/")) {
				f(r)
			}
			return err
		})
	})
}

func (s *state) fact(key string) string { return string(s.fromFile(bucketMeta, key)) }

// setFact saves a fact about the pass, when it is a new one.
func (s *state) setFact(key, value string) {
	if s.db != nil && s.fact(key) != value {
		s.mu.Lock()
		s.meta[key] = value
		s.hard = true
		s.mu.Unlock()
	}
}

// softFact saves a fact when something else is saved anyway.
func (s *state) softFact(key, value string) {
	if s.db != nil {
		s.meta[key] = value
	}
}

func (s *state) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size >= flushAt
}

// flush saves what is pending. durable is called first and makes the target's file systems durable: nothing is
// recorded as done that a power cut could still undo.
func (s *state) flush(durable func() error) error {
	s.mu.Lock()
	if s.db == nil || s.idle || !s.hard || s.broken != nil {
		s.mu.Unlock()
		return s.broken
	}
	s.older, s.pending = s.pending, map[string][]byte{}
	s.size, s.hard = 0, false
	s.mu.Unlock()
	err := durable()
	if err == nil {
		err = guarded(s.path, s.save)
	}
	if err == nil {
		err = s.reread()
	}
	if err == nil {
		s.unmap(s.tx)
	}
	s.mu.Lock()
	s.older = nil
	s.mu.Unlock()
	return err
}

// unmap gives back the memory through which the file was looked at, which would come to be as large as the file. What is wanted
// again is in the page cache.
func (s *state) unmap(tx *bbolt.Tx) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, s.db.Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED) // advice needs no success
}

func (s *state) save() error {
	_ = s.tx.Rollback() // a reader that stays open would keep the file growing
	s.tx = nil
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, n := range append(buckets, bucketMeta) {
			b, err := tx.CreateBucketIfNotExists(n)
			if err != nil {
				return err
			}
			b.FillPercent = 0.9
		}
		for k, v := range s.meta {
			if err := tx.Bucket(bucketMeta).Put([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		for i, key := range sortedKeys(s.older) { // a bucket takes keys in any other order far more slowly
			if i%unmapAfter == 0 {
				s.unmap(tx)
			}
			bucket := buckets[slices.IndexFunc(buckets, func(n []byte) bool { return strings.HasPrefix(key, string(n)) })]
			b, k, v := tx.Bucket(bucket), []byte(key[len(bucket):]), s.older[key]
			var err error
			if v == nil {
				err = b.Delete(k)
			} else {
				err = b.Put(k, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// forget drops everything that was saved, for it is about other trees.
func (s *state) forget() error {
	_ = s.tx.Rollback()
	s.tx = nil
	if s.idle {
		return nil
	}
	err := guarded(s.path, func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			for _, n := range append(buckets, bucketMeta, []byte("inodes")) {
				if err := tx.DeleteBucket(n); err != nil && tx.Bucket(n) != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return errors.Join(s.journal.clear(), s.reread())
}
