package passwd

import (
	"errors"
	"iter"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/lockfile"
)

var (
	// ErrConflict is wrapped by Apply while conflicts remain that a person must settle.
	ErrConflict = errors.New("conflicts remain")
	// ErrDrift is wrapped when a file is neither as the plan saw it nor as the plan wants it.
	ErrDrift = atomicfile.ErrDrift
	// ErrLocked is wrapped when another program holds the locks of the account files.
	ErrLocked = lockfile.ErrLocked
)

// Strategy says what becomes of an account or group whose name the target has given to another.
type Strategy string

// The strategies.
const (
	Stop   Strategy = "stop"   // it is a conflict; the default
	Keep   Strategy = "keep"   // the target's account stands, and the old ids map to it
	Rename Strategy = "rename" // it comes under a new name such as alice-2, its home likewise
)

// Options are the choices of a merge. nil means the defaults, which are the zero values.
type Options struct {
	Include    []string // names or uids of the old host; empty: everybody in its range of people
	Exclude    []string // names or uids that stay behind
	OnConflict Strategy // "" is Stop. Accounts of the system are never kept as people: there Keep stops too

	// UIDs and GIDs are the ids that an earlier run gave, by name on the old host. They stay as recorded, and
	// nobody else gets them.
	UIDs, GIDs map[string]uint32
	// SamePerson tells whether the account newName of the target is the person oldName, come by an earlier run.
	// nil: never.
	SamePerson func(oldName, newName string) bool
	// Privileged names groups of the target that give power over it (sudo, docker, ...) and are to be joined by
	// their old members all the same. Others of that kind are left alone with a warning.
	Privileged []string
	// Shells replaces login shells, by path on the old host. Shells that it does not name stay as they are.
	Shells map[string]string
	// LockTimeout is how long Apply waits for locks; 0 means 15 seconds, as shadow-utils.
	LockTimeout time.Duration
	// BackupDir is a directory of this machine, not below the root of the host, that receives a set of the old files
	// with every Apply that changes any: a directory 20060102T150405Z (mode 0700, the time in UTC) with their bytes
	// and manifest.json, which gives path, SHA-256, mode, owner and time of each. It is made when its parent is
	// there. Such a set outlives "etc/passwd-", which the next tool overwrites. "": none.
	BackupDir string
}

// Action says what the plan does with an account or a group.
type Action string

// The actions.
const (
	ActionAdd      Action = "add"      // added with the ids that it had
	ActionRenumber Action = "renumber" // added under another uid or gid
	ActionPresent  Action = "present"  // on the target already; its ids map to those there
	ActionSkip     Action = "skip"     // stays behind
	ActionConflict Action = "conflict" // see Plan.Conflicts
)

// UserChange is what becomes of one account of the old host.
type UserChange struct {
	Name    string `json:"name"`
	To      string `json:"to"` // its name on the target
	FromUID uint32 `json:"from_uid"`
	ToUID   uint32 `json:"to_uid"` // FromUID when the account does not move
	FromGID uint32 `json:"from_gid"`
	ToGID   uint32 `json:"to_gid"`
	Home    string `json:"home"`    // on the old host; "" when it has none to copy
	ToHome  string `json:"to_home"` // on the target
	Action  Action `json:"action"`
	Reason  string `json:"reason"`
}

// Moves tells whether mail and home of the account are to be copied.
func (u *UserChange) Moves() bool {
	return u.Action == ActionAdd || u.Action == ActionRenumber || u.Action == ActionPresent
}

// GroupChange is what becomes of one group of the old host. System groups are listed when they get members.
type GroupChange struct {
	Name         string   `json:"name"`
	To           string   `json:"to"`
	FromGID      uint32   `json:"from_gid"`
	ToGID        uint32   `json:"to_gid"`
	Action       Action   `json:"action"`
	MembersAdded []string `json:"members_added"` // names on the target, those of a new group included
}

// Finding is a conflict or a warning. Kind is stable.
type Finding struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
	At     string `json:"at"` // "etc/passwd:12", a file alone, or "" for what is in no file
}

// Plan is what Merge decided. It is data: nothing has been written. Lists are never nil. Its JSON is for people and
// reports and lacks the texts to be written, so that a plan cannot be loaded from it: merge again with the same inputs.
type Plan struct {
	Version int           `json:"version"` // of this format: 1
	Users   []UserChange  `json:"users"`   // ascending by FromUID
	Groups  []GroupChange `json:"groups"`  // ascending by FromGID
	// UIDMap and GIDMap translate every id that files of the moving people can bear, unchanged ones included: the
	// people's own, their groups', and those of the system by name. They apply at once, never one after the other:
	// 8 may become 12 while 12 becomes 8. An id that they lack has no counterpart on the target.
	UIDMap    map[uint32]uint32 `json:"uid_map"`
	GIDMap    map[uint32]uint32 `json:"gid_map"`
	Conflicts []Finding         `json:"conflicts"` // Apply refuses while there are any
	Warnings  []Finding         `json:"warnings"`
	Changed   []string          `json:"changed"` // files that will differ, as "etc/passwd"

	merged    bool // it comes from Merge, with its edits
	edits     []edit
	readers   uint32 // gid of those who may read a new shadow file; 0: nobody
	timeout   time.Duration
	backupDir string
}

// errNotMerged is that of a plan whose edits are not there.
var errNotMerged = errors.New("the plan has conflicts or does not come from Merge; a plan is not loaded from JSON, merge again with the same inputs")

type edit struct {
	name          string
	before, after []byte
}

// Migrated goes through the users whose mail and home are to be copied, people already present included.
func (p *Plan) Migrated() iter.Seq[*UserChange] {
	return func(yield func(*UserChange) bool) {
		for i := range p.Users {
			if p.Users[i].Moves() && !yield(&p.Users[i]) {
				return
			}
		}
	}
}

// Edits is something that changes account files: for each path such as "etc/shadow" the bytes that it saw and the bytes
// that it wants, nil for an absent file. Apply joins several into one commit. A Plan is one itself.
type Edits interface {
	Edits() iter.Seq2[string, [2][]byte]
}

// Edits lists the files that the plan changes, passwd last. Of a plan that was loaded from JSON they have no content,
// neither before nor after, which Apply refuses.
func (p *Plan) Edits() iter.Seq2[string, [2][]byte] {
	return func(yield func(string, [2][]byte) bool) {
		for _, name := range p.Changed {
			if !p.merged && !yield(name, [2][]byte{}) {
				return
			}
		}
		for _, e := range p.edits {
			if !yield(e.name, [2][]byte{e.before, e.after}) {
				return
			}
		}
	}
}
