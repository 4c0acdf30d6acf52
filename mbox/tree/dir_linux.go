package tree

import (
	"sync"
	"sync/atomic"
)

// dir is a directory that is open on both sides while anything below it is under way.
type dir struct {
	up       *dir
	src      folder
	dst      int    // -1: not at the target (Diff, Verify)
	st       stat   // of the source as opened
	dstMnt   stat   // of the target as opened
	path     string // below the target root, "." for the root itself
	from     string // below the source root
	key      dirKey
	pair     *pairRun
	frame    bool   // parent of a pair's top: not copied itself, and its mounts may be crossed
	fresh    bool   // made by this pass and not visible before: nothing is in it
	kept     bool   // at the target as an earlier pass left it
	drift    bool   // changed at the target by somebody else
	owner    uint32 // of the tree: the first on the way from its top that is not root
	shared   bool   // others than the owner may put something else in the place of what is in it
	given    bool   // a file of it was asked for, of another host
	depth    int
	base     string
	mail     bool // named mail: its files are mailboxes
	below    bool // somewhere below a directory named mail
	hot      bool // index files and mailboxes: equal size and time prove nothing
	messages bool // cur or new of a Maildir
	maildir  int8 // a Maildir: 1 yes, -1 no, 0 not asked yet
	index    bool // .imap or below it

	rec     *dirRecord      // what earlier passes saved
	next    *dirRecord      // what this pass will save
	book    *book           // the names of the segment at hand
	trusted bool            // both sides are as rec says: no name came, went or was changed
	hidden  *hiding         // fresh and still in staging
	hold    *hold           // its files wait in staging for their mailbox
	early   map[string]bool // names that were dealt with before the others
	same    map[string]bool // directories below which nothing changed

	pending  atomic.Int32
	touched  atomic.Bool
	told     atomic.Bool // the journal knows that it is touched
	vanished bool        // a name went away between listing and looking
}

// hiding is the state of a directory that is filled in staging and then gets its place, whole.
type hiding struct {
	stage int    // descriptor of the staging directory it is in
	tmp   string // its name there
	to    string // its name to be, in the parent

	direct atomic.Int32 // batches of its files under way, and the listing itself
	given  int          // files handed out, counted by the walk
	shown  atomic.Bool  // it has its place
	mu     sync.Mutex
	later  []*item // what can be done only when it has its place
}

// item is one object of the source that is not a directory.
type item struct {
	d        *dir
	name, to string
	st       stat
	looked   bool // st is known
	again    bool // met before in this pass: do not count it twice
	careful  bool // look at the target, whatever is known of it
}

func (d *dir) join(name string) string { return joinPath(d.path, name) }

func joinPath(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	return dir + "/" + name
}

func (it *item) path() string { return it.d.join(it.to) }

// kind sets what the names of a directory say about its content.
func (d *dir) kind() {
	d.mail = d.base == "mail"
	d.hot = hotName(d.base)
	d.index = d.base == ".imap"
	d.messages = messageDir(d.base)
	if d.up != nil {
		d.below = d.up.below || d.up.mail
		d.hot = d.hot || d.up.hot
		d.index = d.index || d.up.index
		if d.owner = d.up.owner; d.owner == 0 {
			d.owner = d.st.uid
		}
		d.shared = d.up.shared
		d.depth = d.up.depth + 1
	} else {
		d.owner = d.st.uid
	}
	d.shared = d.shared || d.st.perm()&0o022 != 0 || d.st.uid != d.owner && d.st.uid != 0
	d.key = keyOf(d.path)
}

func hotName(base string) bool { return base == "mail" || base == ".imap" || base == "Maildir" }

func messageDir(base string) bool { return base == "cur" || base == "new" }
