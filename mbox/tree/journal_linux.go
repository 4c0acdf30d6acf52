package tree

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"
)

// journal notes, before the target is touched, what is about to be put where. After a kill the state file holds what was
// saved last; without the journal our own later work would look like something that somebody else did at the target. It is written without fsync: a kill cannot take it back, and after a power cut a
// missing line costs a problem in the report, never a file.
type journal struct {
	path string
	mu   sync.Mutex
	f    *os.File
	old  map[string][]tuple // what the dead pass was doing; a zero tuple: taking the name away
	dirs map[dirKey][]string
	lock map[string]int // mailboxes of the source that the dead pass locked -> its process id
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path, old: map[string][]tuple{}, dirs: map[dirKey][]string{}, lock: map[string]int{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	for len(b) > 4 {
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			break // the last line was cut short: what it announces was not begun
		}
		j.load(b[4 : 4+n])
		b = b[4+n:]
	}
	return j, nil
}

func (j *journal) load(b []byte) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n < uint64(len(dirKey{})) || n > uint64(len(b)-w) {
		return
	}
	key := string(b[w : w+int(n)])
	c := cursor{b: b[w+int(n):]}
	t := c.tuple()
	if c.bad {
		return
	}
	k, name := splitKey(key)
	if k == lockKey {
		j.lock[name] = int(t.size)
		return
	}
	if len(j.old[key]) == 0 {
		j.dirs[k] = append(j.dirs[k], name)
	}
	j.old[key] = append(j.old[key], t)
}

// intend notes that key is about to hold the object t, or nothing when t is nil. Of a file, type, size and time are enough.
func (j *journal) intend(key string, t *stat) error {
	var tup tuple
	if t != nil {
		tup = t.tuple()
	}
	return j.write(appendIntent(make([]byte, 0, 128), key, &tup))
}

// intendRename notes that the object t is about to go from one name to another.
func (j *journal) intendRename(from, to string, t *stat) error {
	tup := t.tuple()
	b := appendIntent(make([]byte, 0, 256), to, &tup)
	return j.write(appendIntent(b, from, &tuple{}))
}

// lockKey marks what the journal says of locks.
var lockKey = keyOf("\x00lock")

// intendLock notes that a mailbox of the source is about to be locked by this process.
func (j *journal) intendLock(path string) error {
	if j == nil {
		return nil
	}
	return j.write(appendIntent(make([]byte, 0, 128), lockKey.name(path), &tuple{size: int64(os.Getpid())}))
}

// intendAll notes that a whole directory of ours is about to appear.
func (j *journal) intendAll(k dirKey, b *book) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf := make([]byte, 0, 64+128*len(b.names))
	for name, e := range b.names {
		buf = appendIntent(buf, k.name(name), &e.dst)
	}
	return j.write(buf)
}

func appendIntent(b []byte, key string, t *tuple) []byte {
	at := len(b)
	b = binary.AppendUvarint(append(b, 0, 0, 0, 0), uint64(len(key)))
	b = t.encode(append(b, key...))
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func (j *journal) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		f, err := os.OpenFile(j.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		j.f = f
	}
	_, err := j.f.Write(b)
	return err
}

// found tells whether a dead pass left a journal.
func (j *journal) found() bool { return j != nil && len(j.old)+len(j.lock) > 0 }

// explains tells whether the target can be the work of the pass that died.
func (j *journal) explains(key string, t *stat) bool {
	if j == nil {
		return false
	}
	if t == nil {
		return len(j.old[key]) > 0
	}
	return slices.ContainsFunc(j.old[key], func(o tuple) bool {
		return (o.ino == t.ino || o.ino == 0) && o.mode&0o170000 == t.typ() && (t.dir() || o.size == t.size && o.mtime == t.mtime)
	})
}

func (j *journal) children(k dirKey) []string {
	if j == nil {
		return nil
	}
	return j.dirs[k]
}

// restart empties the journal of a pass whose work so far was saved; not while it has the words of a dead one.
func (j *journal) restart() error {
	if j == nil || j.found() {
		return nil
	}
	return j.clear()
}

// clear removes the journal: the state file now says all.
func (j *journal) clear() error {
	if j == nil {
		return nil
	}
	if err := j.close(); err != nil {
		return err
	}
	j.old, j.dirs, j.lock = map[string][]tuple{}, map[dirKey][]string{}, map[string]int{}
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (j *journal) close() error {
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
