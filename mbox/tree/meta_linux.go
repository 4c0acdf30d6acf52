package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// want is the metadata that an object shall have at the target.
type want struct {
	uid, gid, perm uint32
	mtime, atime   stamp
	link           bool // a symbolic link: it has no mode of its own, and chmod would follow it
}

// want maps the owner of an object of the source and drops the set-id bits where the owner cannot be kept: a set-id
// program of somebody else would become one of ours.
func (p *pass) want(s *stat) want {
	w := want{uid: s.uid, gid: s.gid, perm: s.perm(), mtime: s.mtime, atime: s.atime, link: s.typ() == unix.S_IFLNK}
	w.uid, w.gid = p.mapID(p.opt.UIDs, s.uid), p.mapID(p.opt.GIDs, s.gid)
	if !p.root && (w.uid != p.euid || w.gid != p.egid) {
		p.ownerLost.Store(true)
		w.uid, w.gid = p.euid, p.egid
		if s.regular() {
			w.perm &^= unix.S_ISUID | unix.S_ISGID
		}
	}
	return w
}

func (p *pass) mapID(m map[uint32]uint32, id uint32) uint32 {
	if to, ok := m[id]; ok {
		return to
	}
	return id
}

// countIDs notes the ids of one object that a given map does not name.
func (p *pass) countIDs(s *stat) { p.countOwner(s.uid, s.gid, 1) }

func (p *pass) countOwner(uid, gid uint32, n int64) {
	_, u := p.opt.UIDs[uid]
	_, g := p.opt.GIDs[gid]
	if (u || p.opt.UIDs == nil) && (g || p.opt.GIDs == nil) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !u && p.opt.UIDs != nil {
		p.rep.UnmappedUIDs[uid] += n
	}
	if !g && p.opt.GIDs != nil {
		p.rep.UnmappedGIDs[gid] += n
	}
}

// metaEqual compares owner, mode and modification time with the target's; symbolic links have no mode of their own.
func (p *pass) metaEqual(w *want, t *stat) bool {
	if !w.link && t.perm() != w.perm {
		return false
	}
	return w.mtime == t.mtime && (!p.root || t.uid == w.uid && t.gid == w.gid)
}

// attr is one extended attribute.
type attr struct {
	name  string
	value []byte
}

// hostAttrs belong to a host's policy and keys and are not carried.
var hostAttrs = map[string]bool{"security.selinux": true, "security.ima": true, "security.evm": true}

const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// fdPath names an open descriptor, O_PATH ones included, for calls that take a path.
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// attrsOf reads the attributes of an open descriptor; pathFd says that it was opened with O_PATH, for which the kernel
// wants the detour through its magic link.
func attrsOf(fd int, pathFd bool) ([]attr, error) {
	list := func(b []byte) (int, error) { return unix.Flistxattr(fd, b) }
	get := func(n string, b []byte) (int, error) { return unix.Fgetxattr(fd, n, b) }
	if pathFd {
		list = func(b []byte) (int, error) { return unix.Listxattr(fdPath(fd), b) }
		get = func(n string, b []byte) (int, error) { return unix.Getxattr(fdPath(fd), n, b) }
	}
	as, err := readAttrs(list, get)
	if err != nil || pathFd {
		return as, err
	}
	flags, err := flagsOf(fd)
	if flags &= flagsCarried; flags != 0 {
		as = append(as, attr{flagsAttr, binary.LittleEndian.AppendUint32(nil, flags)})
	}
	return as, err
}

// attrsAt reads the attributes of a name in a directory that only we can write to.
func attrsAt(dir int, name string) ([]attr, error) {
	path := fdPath(dir) + "/" + name
	return readAttrs(func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(n string, b []byte) (int, error) { return unix.Lgetxattr(path, n, b) })
}

func readAttrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) ([]attr, error) {
	names, err := grow(256, list)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []attr
	for n := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if hostAttrs[n] {
			continue
		}
		v, err := grow(256, func(b []byte) (int, error) { return get(n, b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", n, err)
		}
		out = append(out, attr{n, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

// grow calls f with a larger buffer until the answer fits; the kernel's limit is 64 KiB.
func grow(size int, f func([]byte) (int, error)) ([]byte, error) {
	for {
		b := make([]byte, size)
		n, err := f(b)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			size *= 4
			continue
		}
		if err != nil {
			return nil, err
		}
		return b[:n], nil
	}
}

// mapAttrs maps the ids inside ACLs.
func (p *pass) mapAttrs(as []attr) []attr {
	for i, a := range as {
		if a.name == aclAccess || a.name == aclDefault {
			as[i].value = p.mapACL(a.value)
		}
	}
	return as
}

// mapACL maps the ids of named entries. The form is that of linux/posix_acl_xattr.h: version 2 in 4 bytes, then entries
// of tag 2, permissions 2, id 4, all little-endian; tags 0x02 and 0x08 are named users and groups.
func (p *pass) mapACL(v []byte) []byte {
	if len(v) < 4 || binary.LittleEndian.Uint32(v) != 2 {
		return v
	}
	v = bytes.Clone(v)
	for e := v[4:]; len(e) >= 8; e = e[8:] {
		id := binary.LittleEndian.Uint32(e[4:])
		switch binary.LittleEndian.Uint16(e) {
		case 0x02:
			id = p.mapID(p.opt.UIDs, id)
		case 0x08:
			id = p.mapID(p.opt.GIDs, id)
		}
		binary.LittleEndian.PutUint32(e[4:], id)
	}
	return v
}

func attrsEqual(a, b []attr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name || !bytes.Equal(a[i].value, b[i].value) {
			return false
		}
	}
	return true
}

// target is an object at the target whose metadata is being set: a descriptor, or a staged name.
type target struct {
	fd   int    // open object, or the staging directory when name is set
	name string // staged object that cannot be opened: link, FIFO, device
}

func (t target) attrs() ([]attr, error) {
	if t.name != "" {
		return attrsAt(t.fd, t.name)
	}
	return attrsOf(t.fd, false)
}

func (t target) setAttr(a attr) error {
	if t.name != "" {
		return unix.Lsetxattr(fdPath(t.fd)+"/"+t.name, a.name, a.value, 0)
	}
	return unix.Fsetxattr(t.fd, a.name, a.value, 0)
}

func (t target) removeAttr(name string) error {
	if t.name != "" {
		return unix.Lremovexattr(fdPath(t.fd)+"/"+t.name, name)
	}
	return unix.Fremovexattr(t.fd, name)
}

func (t target) chown(uid, gid uint32) error {
	if t.name != "" {
		return unix.Fchownat(t.fd, t.name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.Fchown(t.fd, int(uid), int(gid))
}

func (t target) chmod(perm uint32) error {
	if t.name != "" {
		return unix.Fchmodat(t.fd, t.name, perm, 0)
	}
	return unix.Fchmod(t.fd, perm)
}

func (t target) setTimes(mtime, atime stamp) error {
	ts := [2]unix.Timespec{atime.timespec(), mtime.timespec()}
	if t.name != "" {
		return unix.UtimesNanoAt(t.fd, t.name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	}
	// utimensat with a null path is futimens(3), which the unix package does not have.
	_, _, no := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(t.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if no != 0 {
		return no
	}
	return nil
}

// apply gives t the metadata of an object of the source. Owner comes first, for chown clears set-id bits and
// capabilities; an ACL comes after the mode, whose group bits it defines; the times come last. has is what t has
// now, nil when it was just made and bears nothing. The error joins what could not be set.
func (p *pass) apply(t target, w *want, as []attr, has *stat) error {
	var errs []error
	as, flags := flagsIn(as)
	if has != nil && has.locked() {
		errs = append(errs, wrap("clear flags", unlockFd(t.fd)))
	}
	owned := has != nil && has.uid == w.uid && has.gid == w.gid
	if has == nil {
		owned = w.uid == p.euid && w.gid == p.egid
	}
	if p.root && !owned {
		errs = append(errs, wrap("chown", t.chown(w.uid, w.gid)))
	}
	perm := p.madeMode // of what was just made; no set-id bits that chown would clear
	if has != nil {
		perm = has.perm()
	}
	if !w.link && (perm != w.perm || !owned && perm&^0o777 != 0) {
		errs = append(errs, wrap("chmod", t.chmod(w.perm)))
	}
	errs = append(errs, p.applyAttrs(t, as, has != nil)...)
	errs = append(errs, wrap("set times", t.setTimes(w.mtime, w.atime)))
	if has != nil { // else it is still to be renamed, which some flags forbid
		errs = append(errs, p.applyFlags(t.fd, flags))
	}
	return errors.Join(errs...)
}

// applyFlags comes after all else.
func (p *pass) applyFlags(fd int, flags uint32) error {
	err := setFlags(fd, flags)
	if errors.Is(err, unix.EPERM) && !p.root {
		return nil
	}
	return wrap("set flags", err)
}

// madeMode is the mode that a file gets which is asked for with 0600: the umask may forbid its owner things.
func madeMode() uint32 {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "\nUmask:\t")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(line, 8, 32)
	if err != nil {
		return 0 // before Linux 4.7: set every mode
	}
	return 0o600 &^ uint32(mask)
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return os.NewSyscallError(op, err)
}

// applyAttrs sets what differs and removes what the source does not have; old says that t may bear attributes.
func (p *pass) applyAttrs(t target, as []attr, old bool) (errs []error) {
	have := map[string][]byte{}
	if old {
		cur, err := t.attrs()
		if err != nil {
			return []error{err}
		}
		cur, _ = flagsIn(cur)
		for _, a := range cur {
			have[a.name] = a.value
		}
	}
	for _, a := range as {
		v, ok := have[a.name]
		delete(have, a.name)
		if ok && bytes.Equal(v, a.value) {
			continue
		}
		if err := t.setAttr(a); err != nil && !(errors.Is(err, unix.EPERM) && !p.root) {
			errs = append(errs, fmt.Errorf("set attribute %q: %w", a.name, err))
		}
	}
	for name := range have {
		if err := t.removeAttr(name); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EPERM) {
			errs = append(errs, fmt.Errorf("remove attribute %q: %w", name, err))
		}
	}
	return errs
}
