package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const mail = "From a@b Thu Jan  1 00:00:01 2015\nFrom: a@b\nSubject: s\n\nbody\n\n"

// write makes a file with its parents and an old time, so that nothing about it is recent but its ctime.
func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	age(t, path)
}

func age(t testing.TB, path string) {
	t.Helper()
	ts := []unix.Timespec{{Sec: 1400000000, Nsec: 5}, {Sec: 1420070401, Nsec: 123456789}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// roots gives an empty source and target.
func roots(t testing.TB) (src, dst string) {
	t.Helper()
	dir := t.TempDir()
	src, dst = filepath.Join(dir, "old"), filepath.Join(dir, "new")
	require.NoError(t, os.Mkdir(src, 0o755))
	require.NoError(t, os.Mkdir(dst, 0o755))
	return src, dst
}

// acl is the kernel's form of an ACL: owner rwx, one named user, group, one named group, mask, other.
func acl(uid, gid uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {2, 5, uid}, {4, 5, ^uint32(0)}, {8, 4, gid}, {16, 5, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// everything makes a home with one of each thing that a file system can hold (facts 43).
func everything(t testing.TB, home string) {
	t.Helper()
	in := func(n string) string { return filepath.Join(home, n) }
	write(t, in("plain"), "hello")
	write(t, in("empty"), "")
	write(t, in("big"), strings.Repeat("0123456789abcdef", 40000))
	for name, mode := range map[string]uint32{"suid": 0o4755, "sgid": 0o2755, "none": 0o400, "all": 0o777} {
		write(t, in(name), name)
		require.NoError(t, unix.Chmod(in(name), mode))
	}
	require.NoError(t, os.MkdirAll(in("sticky"), 0o755))
	require.NoError(t, unix.Chmod(in("sticky"), 0o3777))
	write(t, in("xattr"), "x")
	require.NoError(t, unix.Setxattr(in("xattr"), "user.note", []byte("v\x00w"), 0))
	write(t, in("deep/er/file"), "deep")
	write(t, in("one"), "linked")
	require.NoError(t, os.Link(in("one"), in("deep/two")))
	require.NoError(t, os.Link(in("one"), in("deep/er/three")))
	require.NoError(t, os.Symlink("/etc/passwd", in("abs")))
	require.NoError(t, os.Symlink("nowhere\n", in("dangling")))
	require.NoError(t, os.Symlink("deep", in("dirlink")))
	require.NoError(t, unix.Mkfifo(in("fifo"), 0o640))
	for _, n := range []string{"new\nline", "bad\xff\xfeutf8", strings.Repeat("n", 255), "-rf", "Entw&APw-rfe", " "} {
		write(t, in(n), "name")
	}
	sparse, err := os.Create(in("sparse"))
	require.NoError(t, err)
	_, err = sparse.WriteAt([]byte("middle"), 40<<20)
	require.NoError(t, err)
	require.NoError(t, sparse.Truncate(100<<20))
	require.NoError(t, sparse.Close())
	for name, sec := range map[string]int64{"y1960": -315619200, "y2040": 2208988800} {
		write(t, in(name), name)
		ts := []unix.Timespec{{Sec: sec, Nsec: 1}, {Sec: sec, Nsec: 999999999}}
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, in(name), ts, 0))
	}
	if os.Geteuid() == 0 {
		everythingOfRoot(t, in)
	}
	for _, n := range []string{"abs", "dangling", "dirlink", "fifo", "sticky", "deep/er", "deep"} {
		age(t, in(n))
	}
}

func everythingOfRoot(t testing.TB, in func(string) string) {
	require.NoError(t, unix.Chmod(in("none"), 0))
	write(t, in("trusted"), "x")
	require.NoError(t, unix.Setxattr(in("trusted"), "trusted.note", []byte("t"), 0))
	write(t, in("capable"), "x")
	capNetRaw := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	require.NoError(t, os.Chown(in("capable"), 500, 500))
	require.NoError(t, unix.Setxattr(in("capable"), "security.capability", capNetRaw, 0))
	write(t, in("acl"), "x")
	require.NoError(t, unix.Setxattr(in("acl"), aclAccess, acl(500, 500), 0))
	require.NoError(t, os.Mkdir(in("acldir"), 0o755))
	require.NoError(t, unix.Setxattr(in("acldir"), aclAccess, acl(500, 77), 0))
	require.NoError(t, unix.Setxattr(in("acldir"), aclDefault, acl(77, 500), 0))
	require.NoError(t, unix.Mknod(in("null"), unix.S_IFCHR|0o660, int(unix.Mkdev(1, 3))))
	write(t, in("foreign"), "x")
	require.NoError(t, os.Lchown(in("foreign"), 4321, 8765))
	require.NoError(t, os.Lchown(in("dangling"), 500, 500))
	require.NoError(t, os.Lchown(in("suid"), 500, 500))
	require.NoError(t, unix.Chmod(in("suid"), 0o4755))
	age(t, in("acldir"))
}

// shot describes one object by what two trees must have in common.
type shot struct {
	typ, perm, uid, gid uint32
	size, rdev          int64
	mtime               syscall.Timespec
	content, attrs      string
}

// look walks a tree with the standard library alone and describes all of it; links tells which names are one file.
func look(t testing.TB, root string) (shots map[string]shot, links [][]string) {
	t.Helper()
	shots = map[string]shot{}
	inodes := map[uint64][]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		st := info.Sys().(*syscall.Stat_t)
		s := shot{typ: st.Mode & syscall.S_IFMT, perm: st.Mode & 0o7777, uid: st.Uid, gid: st.Gid, mtime: st.Mtim, attrs: attrText(t, path)}
		switch {
		case info.Mode().IsRegular():
			s.size = st.Size
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			s.content = fmt.Sprintf("%x", sha256.Sum256(b))
			if st.Nlink > 1 {
				inodes[st.Ino] = append(inodes[st.Ino], rel)
			}
		case info.Mode()&fs.ModeSymlink != 0:
			s.content, err = os.Readlink(path)
			require.NoError(t, err)
		case info.Mode()&fs.ModeDevice != 0:
			s.rdev = int64(st.Rdev)
		}
		shots[rel] = s
		return nil
	}))
	links = slices.SortedFunc(maps.Values(inodes), slices.Compare[[]string])
	return shots, links
}

func attrText(t testing.TB, path string) string {
	b := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, b)
	require.NoError(t, err)
	names := strings.Split(strings.TrimRight(string(b[:n]), "\x00"), "\x00")
	slices.Sort(names)
	out := ""
	for _, a := range names {
		if a == "" || a == "security.selinux" {
			continue
		}
		v := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, a, v)
		require.NoError(t, err)
		out += fmt.Sprintf("%s=%x;", a, v[:n])
	}
	return out
}

// sameTrees compares two trees; change edits what is expected of an object.
func sameTrees(t testing.TB, src, dst string, change func(path string, s *shot)) {
	t.Helper()
	want, wantLinks := look(t, src)
	got, gotLinks := look(t, dst)
	for path, s := range want {
		if change != nil {
			change(path, &s)
		}
		g, ok := got[path]
		require.True(t, ok, "missing: %q", path)
		require.Equal(t, s, g, "%q", path)
		delete(got, path)
	}
	require.Empty(t, got, "only at the target")
	require.Equal(t, wantLinks, gotLinks)
}

// stats gives every number that stat tells of every object, change times included.
func stats(t testing.TB, roots ...string) map[string]syscall.Stat_t {
	t.Helper()
	all := map[string]syscall.Stat_t{}
	for _, root := range roots {
		require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := os.Lstat(path)
			require.NoError(t, err)
			st := *info.Sys().(*syscall.Stat_t)
			st.Atim = syscall.Timespec{}
			all[path] = st
			return nil
		}))
	}
	return all
}

// settled waits until nothing that was written so far can be racy: the clock has to move on by the slack.
func settled(t testing.TB, path string) {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	c := info.Sys().(*syscall.Stat_t).Ctim
	require.Eventually(t, func() bool { return time.Since(time.Unix(c.Sec, c.Nsec)) > 60*time.Millisecond }, 5*time.Second, time.Millisecond)
}

// sync runs Sync and wants no problem.
func syncOK(t testing.TB, src, dst string, opt *Options) *Report {
	t.Helper()
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	return rep
}

// noTemps wants nothing of ours left below root.
func noTemps(t testing.TB, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		require.NotContains(t, e.Name(), ".mailmove-")
		return nil
	}))
}

func socket(t testing.TB, path string) {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Chdir(filepath.Dir(path))) // a socket's path is short
	defer os.Chdir(here)
	l, err := net.Listen("unix", filepath.Base(path))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
}

func problems(rep *Report) (out []string) {
	for _, p := range rep.Problems {
		out = append(out, p.Path+": "+p.Op+": "+p.Error)
	}
	return out
}

func attrLine(name string, value []byte) string { return fmt.Sprintf("%s=%x;", name, value) }
