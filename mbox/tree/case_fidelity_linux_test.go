package tree_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseACL is a kernel ACL with one named user and one named group.
func caseACL(uid, gid uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 7, ^uint32(0)}, {2, 5, uid}, {4, 5, ^uint32(0)}, {8, 4, gid}, {16, 5, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// caseFixture makes one of each thing that a home can hold (case 43); flags are those of chattr(1).
func caseFixture(t testing.TB, home string, flags bool) {
	t.Helper()
	oracle.Root(t)
	in := func(n string) string { return filepath.Join(home, n) }
	set := func(n, attr string, v []byte) {
		t.Helper()
		require.NoError(t, unix.Lsetxattr(in(n), attr, v, 0))
	}
	for _, n := range []string{
		"plain", "suid", "sgid", "both", "closed", "user", "trusted", "capable", "acl", "foreign", "d/sub/file", "d/one", "d/old", "d/young",
		"new\nline", "bad\xff\xfeutf8", strings.Repeat("n", 255), "-rf", "Entw&APw-rfe", " ", "\x1b[2J", "e\u0301", "\u00e9", ".hidden",
		"defacl/child", "setgid/child", "immutable", "append", "nodump", "fixed/inside",
	} {
		caseWrite(t, in(n), "text of "+n)
	}
	caseWrite(t, in("empty"), "")
	require.NoError(t, os.Chown(in("suid"), 500, 500))
	require.NoError(t, os.Chown(in("capable"), 500, 500))
	require.NoError(t, os.Lchown(in("foreign"), 4000000000, 4123456789))
	require.NoError(t, os.Mkdir(in("sticky"), 0o755))
	for n, mode := range map[string]uint32{"suid": 0o4755, "sgid": 0o2755, "both": 0o6711, "closed": 0, "sticky": 0o1777, "setgid": 0o2775, "d/sub": 0o500} {
		require.NoError(t, unix.Chmod(in(n), mode))
	}
	set("user", "user.note", []byte("v\x00w"))
	set("user", "user.empty", nil)
	set("d", "user.dir", []byte("on a directory"))
	set("trusted", "trusted.note", []byte("t"))
	set("capable", "security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	set("acl", "system.posix_acl_access", caseACL(500, 501))
	set("defacl", "system.posix_acl_access", caseACL(501, 500))
	set("defacl", "system.posix_acl_default", caseACL(500, 500))
	require.NoError(t, unix.Mkfifo(in("fifo"), 0o640))
	require.NoError(t, unix.Mknod(in("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	for n, to := range map[string]string{"dangling": "nowhere\n", "absolute": "/etc/shadow", "up": "../../..", "d/dirlink": "sub", "long": strings.Repeat("l", 4000)} {
		require.NoError(t, os.Symlink(to, in(n)))
		caseAge(t, in(n))
	}
	require.NoError(t, os.Lchown(in("dangling"), 500, 500))
	for _, n := range []string{"linked", "d/sub/three", "sticky/four"} {
		require.NoError(t, os.Link(in("d/one"), in(n)))
	}
	sparse, err := os.Create(in("sparse"))
	require.NoError(t, err)
	_, err = sparse.WriteAt([]byte("middle"), 40<<20+123)
	require.NoError(t, err)
	require.NoError(t, sparse.Truncate(100<<20))
	require.NoError(t, sparse.Close())
	caseTimes(t, in("d/old"), -315619200, 999999999)
	caseTimes(t, in("d/young"), 2208988800, 1)
	for _, n := range []string{"sticky", "setgid", "defacl", "fifo", "null", "sparse", "d/sub", "d", "fixed", "acl", "user"} {
		caseAge(t, in(n))
	}
	if flags {
		for n, f := range map[string]uint32{"immutable": caseImmutable, "append": caseAppendOnly, "nodump": caseNoDump, "fixed": caseImmutable} {
			caseSetFlags(t, in(n), f)
		}
	}
}

// caseSetFlags is chattr(1); what it forbids is taken back at the end, so that the tree can be removed.
func caseSetFlags(t testing.TB, path string, flags uint32) {
	t.Helper()
	require.NoError(t, caseChattr(path, flags))
	t.Cleanup(func() { caseChattr(path, 0) })
}

func caseChattr(path string, flags uint32) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	old, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags |= old &^ (caseImmutable | caseAppendOnly | caseNoDump | caseNoAtime)
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
}

// case 43: everything that a file system can hold, but file flags.
func TestCaseFixture(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	src, dst, opt := caseRoots(t)
	caseFixture(t, filepath.Join(src, "home/alice"), false)
	before := caseTree(t, src)
	atime := caseStat(t, filepath.Join(src, "home/alice/plain")).Atim
	rep := caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	require.Equal(t, before, caseTree(t, src), "the source was changed")
	require.Equal(t, atime, caseStat(t, filepath.Join(dst, "home/alice/plain")).Atim)
	require.Less(t, rep.CopiedBytes, int64(1<<20), "holes were written")
	require.Less(t, caseStat(t, filepath.Join(dst, "home/alice/sparse")).Blocks, int64(1000))
	caseIdle(t, src, dst, opt)
	for _, how := range []tree.How{tree.ByStat, tree.ByHash} {
		v := caseVerify(t, src, dst, opt, how)
		require.Empty(t, v.Problems)
		require.Equal(t, v.Files+v.Dirs, v.Verified)
	}
}

// case 43: file flags. They also keep us from replacing what an earlier pass wrote.
func TestCaseFileFlags(t *testing.T) {
	tree.NotFrom(t, "plain", "find and tar know no file flags")
	src, dst, opt := caseRoots(t)
	home := filepath.Join(src, "home/alice")
	caseFixture(t, home, true)
	t.Cleanup(func() {
		for _, n := range []string{"fixed", "immutable", "append"} {
			caseChattr(filepath.Join(dst, "home/alice", n), 0)
		}
	})
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	caseIdle(t, src, dst, opt)
	for n, f := range map[string]uint32{"immutable": caseImmutable, "append": caseAppendOnly, "fixed": caseImmutable} {
		path := filepath.Join(home, n)
		require.NoError(t, caseChattr(path, 0))
		if n == "fixed" {
			caseWrite(t, filepath.Join(path, "inside"), "changed")
			caseWrite(t, filepath.Join(path, "more"), "new")
		} else {
			caseWrite(t, path, "changed")
		}
		require.NoError(t, caseChattr(path, f))
	}
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	for _, n := range []string{"immutable", "append", "fixed"} {
		require.NoError(t, caseChattr(filepath.Join(home, n), 0))
	}
	require.NoError(t, os.Remove(filepath.Join(home, "immutable")))
	require.NoError(t, os.RemoveAll(filepath.Join(home, "fixed")))
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// Symbolic links have attributes too.
func TestCaseAttributesOfLinks(t *testing.T) {
	tree.NotFrom(t, "plain", "tar keeps no attributes of links")
	oracle.Root(t)
	src, dst, opt := caseRoots(t)
	require.NoError(t, os.Symlink("nowhere", filepath.Join(src, "link")))
	require.NoError(t, unix.Lsetxattr(filepath.Join(src, "link"), "trusted.note", []byte("v"), 0))
	caseAge(t, filepath.Join(src, "link"))
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// Names that mean something to us are links here: they are copied as links, or the report says why not.
func TestCaseSpecialNamesAreLinks(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice")
	caseWrite(t, filepath.Join(src, "home/alice/mail/Sent"), caseMessage(1, "x"))
	caseWrite(t, filepath.Join(src, "home/alice/elsewhere/Sent/dovecot.index"), "index")
	caseWrite(t, filepath.Join(src, "home/alice/elsewhere/cur/1:2,"), "message")
	for _, d := range []string{"home/alice/Maildir", "var/mail"} {
		require.NoError(t, os.MkdirAll(filepath.Join(src, d), 0o755))
	}
	for n, to := range map[string]string{
		"home/alice/mail/.imap": "../elsewhere", "home/alice/Maildir/cur": "../elsewhere/cur", "home/alice/Maildir/dovecot-uidlist": "/etc/passwd",
		"home/alice/mail/.subscriptions": "../elsewhere/cur/1:2,", "home/alice/mail/Sent.lock": "nowhere", "var/mail/alice": "../../home/alice/mail/Sent",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(src, n)))
	}
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	got := caseTree(t, dst)
	for path, line := range caseTree(t, filepath.Join(src, "home/alice")) {
		path = filepath.Join("home/alice", path)
		said := slices.ContainsFunc(append(rep.Problems, rep.Skipped...), func(p tree.Problem) bool { return p.Path == path })
		require.True(t, said || path == "home/alice" || path == "home/alice/mail" || got[path] == line, "%q is not at the target, and nothing is said", path)
	}
}

// A socket is made anew or listed as left out; never an error, never silence.
func TestCaseSocket(t *testing.T) {
	src, dst, opt := caseRoots(t)
	require.NoError(t, os.Mkdir(filepath.Join(src, "h"), 0o755))
	require.NoError(t, unix.Mknod(filepath.Join(src, "h/sock"), unix.S_IFSOCK|0o600, 0))
	rep := caseSync(t, src, dst, opt)
	if len(rep.Skipped) == 0 {
		caseSame(t, src, dst)
		return
	}
	require.Equal(t, "h/sock", rep.Skipped[0].Path)
}

// case 44: FIFOs and endless devices in every place where something is opened.
func TestCaseNothingBlocks(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = append(casePairs("alice", "bob"), tree.Pair{From: "Maildir", To: "Maildir"})
	caseWrite(t, filepath.Join(src, "var/mail/bob"), caseMessage(1, "x"))
	caseWrite(t, filepath.Join(src, "home/alice/mail/Sent"), caseMessage(1, "x"))
	for _, d := range []string{"Maildir/cur", "Maildir/new", "home/alice/mail/.imap/Sent", "home/bob", "home/alice/Maildir/cur"} {
		require.NoError(t, os.MkdirAll(filepath.Join(src, d), 0o700))
	}
	for _, n := range []string{
		"var/mail/alice", "var/mail/bob.lock", "Maildir/cur/x", "Maildir/new/y", "Maildir/dovecot-uidlist", "Maildir/tmp", "home/alice/mail/.imap/Sent/dovecot.index",
		"home/alice/mail/.subscriptions", "home/alice/mail/box", "home/alice/Maildir/dovecot-uidlist",
	} {
		require.NoError(t, unix.Mkfifo(filepath.Join(src, n), 0o600))
	}
	for _, n := range []string{"Maildir/cur/zero", "home/alice/mail/zero", "home/alice/Maildir/cur/zero"} {
		require.NoError(t, os.Symlink("/dev/zero", filepath.Join(src, n)))
	}
	for _, d := range []string{"Maildir", "Maildir/cur", "home/alice/mail"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dst, d), 0o755))
	}
	for _, n := range []string{"Maildir/cur/1:2,", "home/alice/mail/Sent"} { // in the way at the target
		require.NoError(t, unix.Mkfifo(filepath.Join(dst, n), 0o600))
	}
	caseWrite(t, filepath.Join(src, "Maildir/cur/1:2,"), "one")
	caseWithin(t, 50*time.Second, func() {
		for range 2 {
			_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
			require.NoError(t, err)
			caseVerify(t, src, dst, opt, tree.ByHash)
			_, err = tree.Diff(t.Context(), tree.From(src), dst, opt, nil)
			require.NoError(t, err)
		}
	})
	require.EqualValues(t, unix.S_IFLNK, caseStat(t, filepath.Join(dst, "Maildir/cur/zero")).Mode&unix.S_IFMT)
}

// case 45: six thousand bytes of path, changed at the bottom, moved, and deleted.
func TestCaseDeepPath(t *testing.T) {
	tree.NotFrom(t, "plain", "find and tar are given paths")
	src, dst, opt := caseRoots(t)
	bottom := func(root string, make bool) int {
		fd, err := unix.Open(root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		for i := range 31 {
			name := strings.Repeat(string(rune('a'+i%26)), 195)
			if make {
				require.NoError(t, unix.Mkdirat(fd, name, 0o755))
			}
			next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			unix.Close(fd)
			fd = next
		}
		return fd
	}
	fd := bottom(src, true)
	defer unix.Close(fd)
	put := func(text string) {
		f, err := unix.Openat(fd, "mail", unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o600)
		require.NoError(t, err)
		_, err = unix.Write(f, []byte(text))
		require.NoError(t, err)
		unix.Close(f)
	}
	for _, text := range []string{"one", "two", "three"} {
		put(text)
		rep := caseSync(t, src, dst, opt)
		require.EqualValues(t, 1, rep.CopiedFiles)
		to := bottom(dst, false)
		f, err := unix.Openat(to, "mail", unix.O_RDONLY, 0)
		require.NoError(t, err)
		b := make([]byte, 10)
		n, err := unix.Read(f, b)
		require.NoError(t, err)
		require.Equal(t, text, string(b[:n]))
		unix.Close(f)
		unix.Close(to)
	}
	v := caseVerify(t, src, dst, opt, tree.ByHash)
	require.Empty(t, v.Problems)
	require.EqualValues(t, 33, v.Verified)
	require.NoError(t, unix.Unlinkat(fd, "mail", 0))
	rep := caseSync(t, src, dst, opt)
	require.EqualValues(t, 1, rep.Deleted)
}

// case 50: owners and the ids inside ACLs, through the program and its map; also where two ids change places.
func TestCaseMappedIDs(t *testing.T) {
	oracle.Root(t)
	src, dst, _ := caseRoots(t)
	caseWrite(t, filepath.Join(src, "h/f"), "x")
	caseWrite(t, filepath.Join(src, "h/d/g"), "x")
	for _, n := range []string{"h/f", "h/d", "h/d/g"} {
		require.NoError(t, os.Chown(filepath.Join(src, n), 1001, 1002))
	}
	require.NoError(t, unix.Setxattr(filepath.Join(src, "h/f"), "system.posix_acl_access", caseACL(1001, 1002), 0))
	require.NoError(t, unix.Setxattr(filepath.Join(src, "h/d"), "system.posix_acl_access", caseACL(1002, 1001), 0))
	require.NoError(t, unix.Setxattr(filepath.Join(src, "h/d"), "system.posix_acl_default", caseACL(1001, 1001), 0))
	ids := filepath.Join(t.TempDir(), "ids.json")
	to := map[string]uint32{"0": 0, "1001": 2001, "1002": 1001}
	text, err := json.Marshal(map[string]any{"uid": to, "gid": to})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(ids, text, 0o600))
	program := caseProgram(t)
	for range 2 {
		r := caseExec(t, program, "-from", src, "-to", dst, "-map", ids, "-verify", "hash", "-json")
		require.Zero(t, r.code, r.stderr)
		got := caseTree(t, dst)
		require.Contains(t, got["h/f"], " 2001:1001 ")
		require.Contains(t, got["h/f"], fmt.Sprintf("system.posix_acl_access=%x", caseACL(2001, 1001)))
		require.Contains(t, got["h/d"], fmt.Sprintf("system.posix_acl_access=%x", caseACL(1001, 2001)))
		require.Contains(t, got["h/d"], fmt.Sprintf("system.posix_acl_default=%x", caseACL(2001, 2001)))
		require.NotContains(t, got["h/d/g"], "acl", "the default ACL of the directory went into the copy")
	}
}
