package passwd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// Host is what Merge has to know of a machine. Passwd and Group are needed, the rest may be absent.
type Host struct {
	Passwd         *File
	Group          *GroupFile
	Defs           *Defs      // login.defs; nil when there is none
	Shells         []string   // shells(5); nil when there is none
	SubUID, SubGID *SubIDFile // nil when there is none
	Shadow         bool       // whether passwords live in etc/shadow: new accounts then carry "x", else "*"
	GShadow        bool       // whether those of groups live in etc/gshadow
}

// ReadHost reads the account files below root, the root directory of a host: "/", a mounted disk, a copy. root itself
// may be a symbolic link such as /proc/PID/root; etc/passwd and the others must be regular files. Errors are
// *fs.PathError; etc/passwd and etc/group must be there.
func ReadHost(root string) (*Host, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := &Host{}
	var errs []error
	read := func(name string, needed bool, use func(name string, src []byte)) {
		s, err := atomicfile.Read(r, name)
		switch {
		case err == nil:
			use(name, s.Data)
		case needed || !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s: %w", root, err))
		}
	}
	read("etc/passwd", true, func(name string, src []byte) { h.Passwd = Parse(name, src) })
	read("etc/group", true, func(name string, src []byte) { h.Group = ParseGroup(name, src) })
	read("etc/login.defs", false, func(name string, src []byte) { h.Defs = ParseDefs(name, src) })
	read("etc/shells", false, func(_ string, src []byte) { h.Shells = ParseShells(src) })
	read("etc/subuid", false, func(name string, src []byte) { h.SubUID = ParseSubID(name, src) })
	read("etc/subgid", false, func(name string, src []byte) { h.SubGID = ParseSubID(name, src) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	exists := func(name string) bool { _, err := r.Lstat(name); return err == nil }
	h.Shadow, h.GShadow = exists("etc/shadow"), exists("etc/gshadow")
	return h, nil
}
