package tree

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Buckets of the state file.
var (
	bucketMeta   = []byte("meta")   // facts about the pass: boot_id, roots, devices of each pair
	bucketDirs   = []byte("dirs")   // dirKey -> path below the target root
	bucketNames  = []byte("names")  // dirKey of the parent + name -> record
	bucketInodes = []byte("inodes") // dev, ino of a regular file of the source -> key in names
)

// mapSize is the address space that a state file gets at first; growing it later means copying what is being written.
const mapSize = 64 << 20

// flushAt is how many records are kept in memory before they are made durable together: one syncfs for all of them
// costs a fraction of an fsync for each.
const flushAt = 32 << 10

// state is what earlier passes saw. Without a file it answers that nothing is known. One goroutine reads and flushes;
// any may put.
type state struct {
	db      *bbolt.DB
	tx      *bbolt.Tx
	journal *journal
	known   bool // an earlier pass saved something for these two roots
	idle    bool // read only: Diff

	mu       sync.Mutex
	pending  map[string]*record // nil: removed
	flushing map[string]*record
	dirs     map[dirKey]string
	meta     map[string]string
	hard     bool // something is pending that must be saved; else a later pass merely knows less
}

func noState() *state {
	return &state{pending: map[string]*record{}, dirs: map[dirKey]string{}, meta: map[string]string{}}
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
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: idle, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapSize})
	if err != nil {
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	s.db = db
	s.journal, err = openJournal(path + ".journal")
	if err == nil {
		err = s.reread()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
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

func (s *state) lookup(bucket, key []byte) []byte {
	if s.tx == nil {
		return nil
	}
	b := s.tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	return b.Get(key)
}

// get returns what is known of a name, nil when nothing is.
func (s *state) get(key string) *record {
	if s.db == nil {
		return nil
	}
	s.mu.Lock()
	for _, m := range []map[string]*record{s.pending, s.flushing} {
		if r, ok := m[key]; ok {
			s.mu.Unlock()
			return r
		}
	}
	s.mu.Unlock()
	if v := s.lookup(bucketNames, []byte(key)); v != nil {
		if r, err := decodeRecord(v); err == nil {
			return r
		}
	}
	if s.journal.names(key) {
		return &record{} // a dead pass was about to make it
	}
	return nil
}

// mine tells whether the target is as a pass of ours left it: as recorded, or as a pass that died was making it. t is
// nil when there is nothing at the target.
func (s *state) mine(key string, r *record, t *stat) bool {
	if t != nil && r.untouched(t) {
		return true
	}
	return s.journal.explains(key, t)
}

// put keeps a record. soft: it only saves a later pass some work and is not worth touching the file for.
func (s *state) put(key string, r *record, soft bool) {
	if s.db == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[key] = r
	s.hard = s.hard || !soft
}

func (s *state) drop(key string) { s.put(key, nil, false) }

func (s *state) putDir(k dirKey, path string) {
	if s.db == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs[k] = path
}

// byInode finds the name under which a file of the source was last seen.
func (s *state) byInode(dev, ino uint64) (key string, r *record) {
	v := s.lookup(bucketInodes, inodeKey(dev, ino))
	if v == nil {
		return "", nil
	}
	key = string(v)
	if r = s.get(key); r == nil || r.src.dev != dev || r.src.ino != ino {
		return "", nil
	}
	return key, r
}

// path gives the path below the target root of a directory that has records.
func (s *state) path(k dirKey) (string, bool) {
	v := s.lookup(bucketDirs, k[:])
	return string(v), v != nil
}

// children calls f for each recorded name in a directory.
func (s *state) children(k dirKey, f func(name string)) {
	if s.tx == nil {
		return
	}
	for _, n := range s.journal.children(k) {
		f(n)
	}
	b := s.tx.Bucket(bucketNames)
	if b == nil {
		return
	}
	c := b.Cursor()
	for key, _ := c.Seek(k[:]); key != nil && strings.HasPrefix(string(key), string(k[:])); key, _ = c.Next() {
		f(string(key[len(k):]))
	}
}

func (s *state) count(k dirKey) (n int) {
	s.children(k, func(string) { n++ })
	return n
}

func (s *state) fact(key string) string { return string(s.lookup(bucketMeta, []byte(key))) }

// setFact saves a fact about the pass, when it is a new one.
func (s *state) setFact(key, value string) {
	if s.db != nil && s.fact(key) != value {
		s.meta[key] = value
		s.hard = true
	}
}

func (s *state) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) >= flushAt
}

// flush saves what is pending. durable is called first and makes the target's file systems durable: nothing is
// recorded as done that a power cut could still undo.
func (s *state) flush(durable func() error) error {
	s.mu.Lock()
	if s.db == nil || s.idle || !s.hard {
		s.mu.Unlock()
		return nil
	}
	s.flushing, s.pending = s.pending, map[string]*record{}
	dirs := s.dirs
	s.dirs, s.hard = map[dirKey]string{}, false
	s.mu.Unlock()
	err := durable()
	if err == nil {
		err = s.save(dirs)
	}
	if err == nil {
		err = s.reread()
	}
	s.mu.Lock()
	s.flushing = nil
	s.mu.Unlock()
	return err
}

func (s *state) save(dirs map[dirKey]string) error {
	_ = s.tx.Rollback() // a reader that stays open would keep the file growing
	s.tx = nil
	return s.db.Update(func(tx *bbolt.Tx) error {
		var bs [4]*bbolt.Bucket
		for i, n := range [][]byte{bucketMeta, bucketDirs, bucketNames, bucketInodes} {
			b, err := tx.CreateBucketIfNotExists(n)
			if err != nil {
				return err
			}
			b.FillPercent = 0.9
			bs[i] = b
		}
		for k, v := range s.meta {
			if err := bs[0].Put([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		for k, v := range dirs {
			if err := bs[1].Put(k[:], []byte(v)); err != nil {
				return err
			}
		}
		return saveRecords(bs[2], bs[3], s.flushing)
	})
}

// saveRecords puts keys in their order: a bucket takes them in any other far more slowly.
func saveRecords(names, inodes *bbolt.Bucket, rs map[string]*record) error {
	at := map[string]string{}
	for _, key := range sortedKeys(rs) {
		r, k := rs[key], []byte(key)
		if r == nil {
			if err := names.Delete(k); err != nil {
				return err
			}
			continue
		}
		if err := names.Put(k, r.encode()); err != nil {
			return err
		}
		if r.src.mode&0o170000 == 0o100000 {
			at[string(inodeKey(r.src.dev, r.src.ino))] = key
		}
	}
	for _, i := range sortedKeys(at) {
		if err := inodes.Put([]byte(i), []byte(at[i])); err != nil {
			return err
		}
	}
	return nil
}

// forget drops everything that was saved, for it is about other trees.
func (s *state) forget() error {
	_ = s.tx.Rollback()
	s.tx = nil
	if s.idle {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, n := range [][]byte{bucketMeta, bucketDirs, bucketNames, bucketInodes} {
			if err := tx.DeleteBucket(n); err != nil && tx.Bucket(n) != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(s.journal.clear(), s.reread())
}
