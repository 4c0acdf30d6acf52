package tree_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseScale multiplies the length of races, soaks and the number of kills; TREE_CASE_SCALE sets it, 1 is for CI.
func caseScale() int {
	if n, err := strconv.Atoi(os.Getenv("TREE_CASE_SCALE")); err == nil && n > 0 {
		return n
	}
	return 1
}

// caseMessage is a message by the fixture function of the cases: M(n, body).
func caseMessage(n int, body string) string {
	return fmt.Sprintf("From a@b Thu Jan  1 00:00:01 2015\nFrom: a@b\nSubject: s%d\nDate: Thu, 1 Jan 2015 00:00:01 +0000\nMessage-ID: <%d@x>\n\n%s\n\n", n, n, body)
}

// caseWrite makes a file and its parents, with a time long gone.
func caseWrite(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	caseAge(t, path)
}

// caseAge sets an access time that is older than the modification time, as that of an unread mailbox.
func caseAge(t testing.TB, path string) { caseTimes(t, path, 1420070401, 123456789) }

func caseTimes(t testing.TB, path string, sec, nsec int64) {
	t.Helper()
	ts := []unix.Timespec{{Sec: sec - 1000, Nsec: 5}, {Sec: sec, Nsec: nsec}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// caseEdit writes in place: size and inode stay.
func caseEdit(t testing.TB, path string, offset int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(text), offset)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func caseRoots(t testing.TB) (src, dst string, opt *tree.Options) {
	t.Helper()
	dir := t.TempDir()
	src, dst = filepath.Join(dir, "old"), filepath.Join(dir, "new")
	require.NoError(t, os.Mkdir(src, 0o755))
	require.NoError(t, os.Mkdir(dst, 0o755))
	return src, dst, &tree.Options{State: filepath.Join(dir, "state"), Delete: true}
}

// casePairs are a home and the inbox whose index it holds.
func casePairs(users ...string) (pairs []tree.Pair) {
	for _, u := range users {
		pairs = append(pairs, tree.Pair{From: "home/" + u, To: "home/" + u}, tree.Pair{From: "var/mail/" + u, To: "var/mail/" + u})
	}
	return pairs
}

// caseSync wants a pass without problems.
func caseSync(t testing.TB, src, dst string, opt *tree.Options) *tree.Report {
	t.Helper()
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	return rep
}

// caseIdle wants a pass that finds nothing to do.
func caseIdle(t testing.TB, src, dst string, opt *tree.Options) {
	t.Helper()
	rep := caseSync(t, src, dst, opt)
	require.Zero(t, rep.CopiedFiles+rep.CopiedBytes+rep.Metadata+rep.Renamed+rep.Linked+rep.Deleted, "%+v", rep)
	require.Equal(t, rep.Files, rep.Unchanged)
}

func caseVerify(t testing.TB, src, dst string, opt *tree.Options, how tree.How) *tree.Report {
	t.Helper()
	rep, err := tree.Verify(t.Context(), tree.From(src), dst, opt, how)
	require.NoError(t, err)
	return rep
}

func caseProblems(rep *tree.Report) string {
	var b strings.Builder
	for _, p := range rep.Problems {
		fmt.Fprintf(&b, "%q %s: %s\n", p.Path, p.Op, p.Error)
	}
	return b.String()
}

// caseSum is the digest of a file, so that a failure shows no content.
func caseSum(t testing.TB, path string) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		f, err = os.Open(path)
	}
	require.NoError(t, err)
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	require.NoError(t, err)
	return fmt.Sprintf("%d bytes %x", n, h.Sum(nil))
}

func caseStat(t testing.TB, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Lstat(path, &st), path)
	return st
}

// caseTree describes each object below root on one line, by what two equal trees have in common: it is a manifest of our
// own making, which shares no code with what it judges. Hard links are told by the first name of the file.
func caseTree(t testing.TB, root string) map[string]string {
	t.Helper()
	all, first := map[string]string{}, map[uint64]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		st := caseStat(t, path)
		rel := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		line := fmt.Sprintf("%o %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			line += " " + caseSum(t, path) + caseFlags(t, path)
			if st.Nlink > 1 {
				if first[st.Ino] == "" {
					first[st.Ino] = rel
				}
				line += " same as " + first[st.Ino]
			}
		case unix.S_IFLNK:
			to, err := os.Readlink(path)
			require.NoError(t, err)
			line += " -> " + to
		case unix.S_IFDIR:
			line += caseFlags(t, path)
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprintf(" dev %x", st.Rdev)
		}
		all[rel] = line + caseAttrs(t, path)
		return nil
	}))
	return all
}

// The file flags of linux/fs.h.
const (
	caseImmutable  = 0x10
	caseAppendOnly = 0x20
	caseNoDump     = 0x40
	caseNoAtime    = 0x80
)

// caseFlags are the file flags that chattr(1) sets: immutable, append-only, no dump, no atime.
func caseFlags(t testing.TB, path string) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer f.Close()
	n, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" flags %x", n&(caseImmutable|caseAppendOnly|caseNoDump|caseNoAtime))
}

func caseAttrs(t testing.TB, path string) (out string) {
	t.Helper()
	b := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, b)
	require.NoError(t, err)
	names := strings.Split(strings.TrimRight(string(b[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, a := range names {
		if a == "" || a == "security.selinux" {
			continue
		}
		v := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, a, v)
		require.NoError(t, err)
		out += fmt.Sprintf(" %s=%x", a, v[:n])
	}
	return out
}

// caseSame wants two equal trees and shows the lines that differ.
func caseSame(t testing.TB, src, dst string) {
	t.Helper()
	want, got := caseTree(t, src), caseTree(t, dst)
	for path, line := range want {
		require.Equal(t, line, got[path], "%q", path)
		delete(got, path)
	}
	require.Empty(t, got, "only at the target")
}

// caseNoLeftovers wants neither staging nor locks of ours below the roots.
func caseNoLeftovers(t testing.TB, roots ...string) {
	t.Helper()
	for _, root := range roots {
		require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			require.NoError(t, err)
			require.NotContains(t, e.Name(), ".mailmove", path)
			require.False(t, strings.HasSuffix(e.Name(), ".lock") || strings.Contains(e.Name(), ".lk."), path)
			return nil
		}))
	}
}

// caseEventually runs passes until one is as wanted: state that was written a moment ago may not be trusted yet.
func caseEventually(t testing.TB, src, dst string, opt *tree.Options, want func(*tree.Report) bool) *tree.Report {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for passes := 1; ; passes++ {
		rep := caseSync(t, src, dst, opt)
		if want(rep) {
			return rep
		}
		require.True(t, passes < 4 || time.Now().Before(end), "no such pass within five seconds; the last one: %+v", rep)
	}
}

// caseWithin fails when do takes longer: something blocks.
func caseWithin(t testing.TB, limit time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		panic("still not done after " + limit.String()) // with the stacks of all goroutines
	}
}

// caseBuilt is the program, built once.
var caseBuilt = sync.OnceValues(func() (exe []byte, err error) {
	dir, err := os.MkdirTemp("", "copymail")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir+"/copymail", "../../examples/copymail").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(dir + "/copymail")
})

// caseProgram gives a copymail to run.
func caseProgram(t testing.TB) string {
	t.Helper()
	b, err := caseBuilt()
	require.NoError(t, err)
	exe := filepath.Join(t.TempDir(), "copymail")
	require.NoError(t, os.WriteFile(exe, b, 0o755))
	return exe
}

// caseRun is one run of copymail with -json.
type caseRun struct {
	code   int
	stderr string
	rep    tree.Report
}

func caseExec(t testing.TB, argv ...string) (r caseRun) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "hangs")
	require.NotNil(t, cmd.ProcessState, "%v", err)
	r.code, r.stderr = cmd.ProcessState.ExitCode(), stderr.String()
	require.NotContains(t, r.stderr, "goroutine ", "it crashed")
	require.GreaterOrEqual(t, r.code, 0, "killed by a signal: %s", r.stderr)
	if stdout.Len() > 0 {
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &r.rep), "%s", stdout.Bytes())
	}
	return r
}

// caseDisk mounts a file system of its own on an image file. It gives the mount point, the loop device and the image.
func caseDisk(t testing.TB, size string, mkfs ...string) (at, dev, image string) {
	t.Helper()
	oracle.Root(t)
	dir := t.TempDir()
	at, image = filepath.Join(dir, "disk"), filepath.Join(dir, "image")
	caseOK(t, oracle.Need(t, "truncate"), "-s", size, image)
	caseOK(t, oracle.Need(t, mkfs[0]), append(mkfs[1:], image)...)
	require.NoError(t, os.Mkdir(at, 0o755))
	dev = caseAttach(t, image)
	caseMount(t, dev, at, "")
	return at, dev, image
}

func caseAttach(t testing.TB, image string) string {
	t.Helper()
	dev := caseOK(t, oracle.Need(t, "losetup"), "--find", "--show", image)
	t.Cleanup(func() { exec.Command("losetup", "-d", dev).Run() })
	return dev
}

func caseMount(t testing.TB, dev, at, options string) {
	t.Helper()
	caseOK(t, oracle.Need(t, "mount"), "-o", "noatime,"+options, dev, at)
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
}

// caseTmpfs mounts a small memory disk.
func caseTmpfs(t testing.TB, at, options string) {
	t.Helper()
	oracle.Root(t)
	require.NoError(t, os.MkdirAll(at, 0o755))
	require.NoError(t, unix.Mount("tmpfs", at, "tmpfs", 0, options))
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
}

func caseOK(t testing.TB, argv0 string, args ...string) string {
	t.Helper()
	out, err := exec.Command(argv0, args...).CombinedOutput()
	require.NoError(t, err, "%s %q: %s", argv0, args, out)
	return strings.TrimSpace(string(out))
}
