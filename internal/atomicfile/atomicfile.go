// Package atomicfile replaces configuration files so that each of them is, at any moment and after any crash, either
// wholly old or wholly new.
//
// Apply takes a set of changes and gives one of three answers for each before it touches anything: the file is as the
// plan saw it (it will be written), it already is as wanted (left alone), or it is something else (ErrDrift, nothing is
// written). Mode, owner, extended attributes and ACL of an existing file are kept; nobody can read the new content who
// could not read the old. When a rename fails, the files renamed before it are put back.
//
// Not promised: one commit over several files. A crash between two renames leaves some files new and others old; calling
// Apply again with the same changes completes them. Locking is the caller's (see package lockfile). A file rewritten in
// place (Change.InPlace) can be seen half written. Extended attributes are kept on Linux only.
//
//	root, _ := os.OpenRoot("/")
//	was, _ := atomicfile.Read(root, "etc/hosts")
//	_, err := atomicfile.Apply(ctx, root, []atomicfile.Change{{
//		Name: "etc/hosts", Before: was.Data, After: edited, Backup: "etc/hosts-", InPlace: true,
//	}})
package atomicfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// ErrDrift says that a file is neither as the plan saw it nor as it is wanted. Nothing was written.
var ErrDrift = errors.New("neither as planned nor as wanted")

// Change is the wanted content of one file. In Before and After nil means that there is no such file, and an empty
// slice that it is empty.
type Change struct {
	Name   string // slash-separated path below the root, without ".." ("etc/passwd"); its directory must exist
	Before []byte // the content the plan was made from; nil = no such file
	After  []byte // the wanted content; nil = no such file, that is, remove it

	// Backup is the path that receives the old content with the old mode, owner, attributes and modification time,
	// as shadow-utils keep "etc/passwd-" (passwd(5), lib/commonio.c). Empty means none. A file that did not exist
	// leaves no backup.
	Backup string

	// Mode, UID and GID are those of a file that did not exist; an existing one keeps its own. Setuid, setgid and
	// sticky bits may be given as fs.ModeSetuid and so on or as in chmod(2). A UID or GID of -1 means the one that
	// the system gives to a new file. They have no effect where files have no owner.
	Mode     fs.FileMode
	UID, GID int

	// InPlace allows rewriting the file itself when rename gives EBUSY, as it does for a bind-mounted /etc/hosts. A
	// crash may then leave the beginning of After followed by the rest of Before; such content counts as Before
	// when Apply is called again with InPlace.
	InPlace bool
}

// Apply makes the changes in the order given and returns the names of the files that now hold new content because of
// this call; files that already were as wanted are not among them and not touched.
//
// All new files, backups and what a rollback needs are staged and synced before the first rename; backups come before
// targets; the directories are synced at the end. The context counts until the first rename, not after it. On an error
// everything is as before and written is empty, with two exceptions: when putting back failed too, the error says what is
// left; and when syncing a directory or removing a staged file failed, all changes stand. In both cases written names the
// files that are new. Errors of the file system are *fs.PathError; a symbolic link or anything else that is not a regular
// file, in the place of a target or a backup, is one of them. Staged files do not survive the call; those of a process
// that was killed are removed by the next Apply in that directory. Of a file with several hard links only this name gets
// the new content.
func Apply(ctx context.Context, root *os.Root, changes []Change) (written []string, err error) {
	t := &transaction{root: root}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.examine(ctx, changes); err != nil {
		return nil, err
	}
	if err := t.stage(ctx); err != nil {
		return nil, err
	}
	if err := t.unchanged(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.commit()
}

// step, set by tests only, is called before each system call that changes something. An error it returns takes the
// place of that call.
var step func(op, name string) error

func at(op, name string) error {
	if step == nil {
		return nil
	}
	if err := step(op, name); err != nil {
		return pathError(op, name, err)
	}
	return nil
}
