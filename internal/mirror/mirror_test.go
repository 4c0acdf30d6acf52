//go:build linux

package mirror

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

// host makes a file tree: a name that ends in / is a directory, "-> x" a link, else the content of a file.
func host(t *testing.T, objects ...string) string {
	t.Helper()
	for _, tool := range []string{"find", "xargs", "tar"} {
		oracle.Need(t, tool)
	}
	root := t.TempDir()
	for i := 0; i < len(objects); i += 2 {
		name, what := filepath.Join(root, objects[i]), objects[i+1]
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		target, link := strings.CutPrefix(what, "-> ")
		switch {
		case strings.HasSuffix(objects[i], "/"):
			require.NoError(t, os.MkdirAll(name, 0o755))
		case link:
			require.NoError(t, os.Symlink(target, name))
		default:
			require.NoError(t, os.WriteFile(name, []byte(what), 0o644))
		}
	}
	return root
}

// tree lists what is below a directory, in the words of host.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		name, _ := filepath.Rel(dir, p)
		switch {
		case e.IsDir():
			if name != "." {
				all[name+"/"] = ""
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			require.NoError(t, err)
			all[name] = "-> " + target
		default:
			require.Equal(t, fs.FileMode(0o600), info.Mode(), name)
			data, err := os.ReadFile(p)
			require.NoError(t, err)
			all[name] = string(data)
		}
		return nil
	}))
	return all
}

func get(t *testing.T, h *hostcmd.Host, root string, want ...string) map[string]string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "mirror")
	left, err := Fetch(context.Background(), h, root, into, want...)
	require.NoError(t, err)
	require.Empty(t, left)
	return tree(t, into)
}

var here = &hostcmd.Host{}

func TestFetch(t *testing.T) {
	root := host(t, "etc/passwd", "p", "etc/shadow", "s", "etc/big/", "", "etc/dovecot/conf.d/10-a.conf", "a", "etc/dovecot/conf.d/20-b.conf", "b",
		"etc/dovecot/conf.d/.hidden.conf", "h", "etc/dovecot/conf.d/c.txt", "c", "home/al ice/.forward", "f", "home/al ice/mail/x", "m",
		"home/new\nline/.forward", "n", "home/we[i*rd/.forward", "w", "home/-rf/.forward", "d", "home/\xff/.forward", "l", "opt/a/x.cf", "1", "opt/b/x.cf", "2")
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "etc/fifo"), 0o600))
	want := []string{"etc/passwd", "/etc/shadow", "etc/absent", "etc/fifo", "etc/passwd/nothing", "etc/dovecot/conf.d/*.conf", "home/al ice/.forward", "home/new\nline/.forward",
		Literal("home/we[i*rd/.forward"), "home/-rf/.forward", "home/\xff/.forward", "opt/*/[!y].cf", "etc/big", "none/*/x", "etc/../etc/./passwd"}
	wanted := map[string]string{
		"etc/": "", "etc/passwd": "p", "etc/shadow": "s", "etc/big/": "", "etc/dovecot/": "", "etc/dovecot/conf.d/": "", "etc/dovecot/conf.d/10-a.conf": "a",
		"etc/dovecot/conf.d/20-b.conf": "b", "home/": "", "home/al ice/": "", "home/al ice/.forward": "f", "home/new\nline/": "", "home/new\nline/.forward": "n",
		"home/we[i*rd/": "", "home/we[i*rd/.forward": "w", "home/-rf/": "", "home/-rf/.forward": "d", "home/\xff/": "", "home/\xff/.forward": "l",
		"opt/": "", "opt/a/": "", "opt/a/x.cf": "1", "opt/b/": "", "opt/b/x.cf": "2",
	}
	require.Equal(t, wanted, get(t, here, root, want...))

	s := oracle.SSHD(t)
	h, err := hostcmd.Connect(context.Background(), s.Dest)
	require.NoError(t, err)
	defer h.Close()
	require.Equal(t, wanted, get(t, h, root, want...))
}

func TestLinksAreKeptAndFollowedAsOnTheHost(t *testing.T) {
	root := host(t, "home", "-> /disk1/home", "disk1/home/alice/.forward", "f", "var/mail", "-> spool/mail", "var/spool/mail/alice", "mail",
		"etc/dovecot.conf", "-> /etc/dovecot/dovecot.conf", "etc/dovecot/dovecot.conf", "c", "etc/up", "-> ../../../../etc/target", "etc/target", "t",
		"etc/dangling", "-> /nowhere/x", "etc/loop", "-> loop", "etc/root", "-> /", "a/b/c", "-> ../../d/../a/e", "a/e", "E", "d", "-> /var/spool", "var/a/e", "V")
	got := get(t, here, root, "home/alice/.forward", "var/mail", "etc/dovecot.conf", "etc/up", "etc/dangling", "etc/loop", "etc/root", "a/b/c")
	require.Equal(t, map[string]string{
		"home": "-> disk1/home", "disk1/": "", "disk1/home/": "", "disk1/home/alice/": "", "disk1/home/alice/.forward": "f",
		"var/": "", "var/mail": "-> spool/mail", "var/spool/": "", "var/spool/mail/": "",
		"etc/": "", "etc/dovecot.conf": "-> ../etc/dovecot/dovecot.conf", "etc/dovecot/": "", "etc/dovecot/dovecot.conf": "c",
		"etc/up": "-> ../etc/target", "etc/target": "t", "etc/dangling": "-> ../nowhere/x", "etc/loop": "-> loop", "etc/root": "-> ../",
		"a/": "", "a/b/": "", "a/b/c": "-> ../../d/../a/e", "d": "-> var/spool", "var/a/": "", "var/a/e": "V",
	}, got)
}

func TestInside(t *testing.T) {
	for _, c := range [][3]string{
		{"", "/etc", "etc"}, {"", "/", "."}, {"a", "/", "../"}, {"a/b", "/c", "../../c"}, {"a", "../../../x", "../x"}, {"a", "..", "../"},
		{"a", "b/../../x", "b/../../x"}, {"a", "//x", "../x"}, {"", "..//../x", "x"}, {"a", "x", "x"}, {"a", "..x", "..x"},
	} {
		require.Equal(t, c[2], inside(c[0], c[1]), c)
	}
}

func TestPrivateKeysStayThere(t *testing.T) {
	key := "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----\n"
	root := host(t, "etc/postfix/main.cf", "m", "etc/postfix/smtpd.key", "x", "etc/postfix/cert.PEM", "x", "etc/postfix/odd", "-----BEGIN CERTIFICATE-----\n"+key, "etc/cert.pem", "public", "etc/both.pem", key)
	require.Equal(t, map[string]string{"etc/": "", "etc/postfix/": "", "etc/postfix/main.cf": "m", "etc/cert.pem": "public"}, get(t, here, root, "etc/postfix/*", "etc/cert.pem", "etc/both.pem"))
}

func TestOwnersOfLinksAndDirectories(t *testing.T) {
	oracle.Root(t)
	root := host(t, "home", "-> disk", "disk/", "")
	require.NoError(t, os.Chown(filepath.Join(root, "disk"), 3, 12))
	require.NoError(t, os.Chmod(filepath.Join(root, "disk"), 0o1775|fs.ModeSticky))
	require.NoError(t, os.Lchown(filepath.Join(root, "home"), 4711, 4711))
	into := filepath.Join(t.TempDir(), "m")
	_, err := Fetch(context.Background(), here, root, into, "home")
	require.NoError(t, err)
	info, err := os.Lstat(filepath.Join(into, "home"))
	require.NoError(t, err)
	require.EqualValues(t, 4711, info.Sys().(*syscall.Stat_t).Uid)
	info, err = os.Lstat(filepath.Join(into, "disk"))
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|fs.ModeSticky|0o775, info.Mode())
	require.EqualValues(t, 3, info.Sys().(*syscall.Stat_t).Uid)
	require.EqualValues(t, 12, info.Sys().(*syscall.Stat_t).Gid)
	info, err = os.Lstat(into)
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())
}

func TestTooLargeIsToldAndLeftOut(t *testing.T) {
	root := host(t, "etc/passwd", "p", "home/al/.procmailrc", "")
	require.NoError(t, os.Truncate(filepath.Join(root, "home/al/.procmailrc"), 1<<40))
	into := filepath.Join(t.TempDir(), "m")
	left, err := Fetch(context.Background(), here, root, into, "etc/passwd", "home/al/.procmailrc")
	require.NoError(t, err)
	require.Equal(t, []Left{{"home/al/.procmailrc", 1 << 40}}, left)
	require.NoFileExists(t, filepath.Join(into, "home/al/.procmailrc"))
	require.FileExists(t, filepath.Join(into, "etc/passwd"))
}

func TestTheEarlierOneIsReplacedAsAWhole(t *testing.T) {
	ctx := context.Background()
	root := host(t, "etc/passwd", "old", "etc/group", "g")
	into := filepath.Join(t.TempDir(), "m")
	_, err := Fetch(ctx, here, root, into, "etc/passwd", "etc/group")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("new"), 0o644))
	require.NoError(t, os.Remove(filepath.Join(root, "etc/group")))
	_, err = Fetch(ctx, here, root, into, "etc/passwd", "etc/group")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"etc/": "", "etc/passwd": "new"}, tree(t, into))
	left, err := os.ReadDir(filepath.Dir(into))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestTheHostIsOnlyRead(t *testing.T) {
	root := host(t, "etc/passwd", "p", "etc/conf.d/a", "a", "home", "-> disk", "disk/x/.forward", "f")
	facts := func() (all []string) {
		require.NoError(t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
			require.NoError(t, err)
			var st syscall.Stat_t
			require.NoError(t, syscall.Lstat(p, &st))
			all = append(all, fmt.Sprint(p, st.Ino, st.Nlink, st.Mtim, st.Ctim))
			return nil
		}))
		return all
	}
	before := facts()
	get(t, here, root, "etc/passwd", "etc/conf.d/*", "home/x/.forward")
	require.Equal(t, before, facts())
}

// programs puts scripts before the real ones in PATH.
func programs(t *testing.T, scripts ...string) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(scripts); i += 2 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, scripts[i]), []byte("#!/bin/sh\n"+scripts[i+1]+"\n"), 0o755))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// archive is what a hostile tar writes.
func archive(t *testing.T, heads ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range heads {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = 4
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write(bytes.Repeat([]byte("evil"), int(h.Size/4)))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	name := filepath.Join(t.TempDir(), "evil.tar")
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o600))
	return name
}

func TestHostileArchives(t *testing.T) {
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	for name, heads := range map[string][]tar.Header{
		"dots":          {reg("./etc/../../../escaped")},
		"dots alone":    {reg("../escaped")},
		"absolute":      {reg("/tmp/escaped")},
		"not asked":     {reg("./etc/escaped")},
		"link, through": {{Name: "./etc/passwd", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, reg("./etc/passwd/escaped")},
		"hard link":     {{Name: "./etc/passwd", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}},
		"twice":         {reg("./etc/passwd"), reg("./etc/passwd")},
		"device":        {{Name: "./etc/passwd", Typeflag: tar.TypeChar}},
		"directory":     {{Name: "./etc/passwd", Typeflag: tar.TypeDir}},
		"too large":     {{Name: "./etc/passwd", Typeflag: tar.TypeReg, Size: Most + 4}},
		"none":          {},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, "etc/passwd", "good")
			base := t.TempDir()
			into := filepath.Join(base, "a/m")
			_, err := Fetch(context.Background(), here, root, into, "etc/passwd")
			require.NoError(t, err)
			programs(t, "tar", "cat >/dev/null; exec cat "+archive(t, heads...))
			skipped, err := Fetch(context.Background(), here, root, into, "etc/passwd")
			if os.Geteuid() != 0 && err == nil { // it is a user's file then
				require.Equal(t, []Left{{Name: "etc/passwd"}}, skipped)
				require.Equal(t, map[string]string{"etc/": ""}, tree(t, into))
				return
			}
			require.Error(t, err)
			require.NotContains(t, err.Error(), "evil")
			require.Equal(t, map[string]string{"etc/": "", "etc/passwd": "good"}, tree(t, into), "the earlier one stays")
			left, err := os.ReadDir(filepath.Dir(into))
			require.NoError(t, err)
			require.Len(t, left, 1)
		})
	}
}

func TestHostileLists(t *testing.T) {
	for name, line := range map[string]string{
		"dots":      `f\0001\0000\0000\000644\000./../escaped\000\000`,
		"absolute":  `f\0001\0000\0000\000644\000/etc/escaped\000\000`,
		"not asked": `f\0001\0000\0000\000644\000./etc/escaped\000\000`,
		"size":      `f\000-1\0000\0000\000644\000./etc/passwd\000\000`,
		"huge":      `f\00099999999999999999999\0000\0000\000644\000./etc/passwd\000\000`,
		"cut":       `f\0001\0000\0000\000644\000./etc/passwd`,
		"mode":      `f\0001\0000\0000\00099999\000./etc/passwd\000\000`,
		"owner":     `f\0001\000-7\0000\000644\000./etc/passwd\000\000`,
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, "etc/passwd", "good")
			programs(t, "find", "printf '"+line+"'")
			into := filepath.Join(t.TempDir(), "m")
			_, err := Fetch(context.Background(), here, root, into, "etc/passwd")
			require.ErrorContains(t, err, "nobody asked for")
			require.NoDirExists(t, into)
		})
	}
}

// TestALinkSwappedIn: between the look and the read a file became a link to what the mirror must not hold.
func TestALinkSwappedIn(t *testing.T) {
	root := host(t, "home/al/.forward", "f", "secret", "SECRET")
	forward := filepath.Join(root, "home/al/.forward")
	programs(t, "tar", "rm -f "+forward+"; ln -s ../../secret "+forward+"; exec "+oracle.Need(t, "tar")+` "$@"`)
	got := get(t, here, root, "home/al/.forward") // the second attempt takes it for what it is: a link
	require.Equal(t, map[string]string{"home/": "", "home/al/": "", "home/al/.forward": "-> ../../secret", "secret": "SECRET"}, got)
}

func TestAFileThatChangesMeanwhileIsReadAgain(t *testing.T) {
	root := host(t, "etc/aliases", "first")
	mark := filepath.Join(t.TempDir(), "mark")
	programs(t, "tar", oracle.Need(t, "tar")+` "$@"; [ -e `+mark+` ] || { : >`+mark+`; exit 1; }`)
	require.Equal(t, "first", get(t, here, root, "etc/aliases")["etc/aliases"])
	programs(t, "tar", "cat >/dev/null; echo it changes >&2; exit 1")
	_, err := Fetch(context.Background(), here, root, filepath.Join(t.TempDir(), "m"), "etc/aliases")
	require.ErrorContains(t, err, "read the small files: exit status 1: it changes")
}

// TestOneUsersFileThatNeverStandsStill is left out and told, whatever its user does with it, and keeps nobody else's from being read.
func TestOneUsersFileThatNeverStandsStill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of several users")
	}
	program := oracle.Need(t, "tar")
	for name, act := range map[string]string{
		"written to":    program + ` "$@"; rc=$?; [ -e $f ] && echo "tar: ./home/al/.forward: file changed as we read it" >&2 && exit 1; exit $rc`,
		"link":          `rm -rf $f; ln -s ../../secret $f; ` + program + ` "$@"; rc=$?; rm $f; echo f >$f; chown 1000 $f; exit $rc`,
		"directory":     `rm -rf $f; mkdir $f; ` + program + ` "$@"; rc=$?; rmdir $f; echo f >$f; exit $rc`,
		"gone":          `rm -rf $f; ` + program + ` "$@"; rc=$?; echo f >$f; exit $rc`,
		"grown":         `truncate -s ` + fmt.Sprint(Most+1) + ` $f; ` + program + ` "$@"; rc=$?; echo f >$f; exit $rc`,
		"another's now": `rm -rf $f; echo x >$f; ` + program + ` "$@"; rc=$?; echo "tar: ./home/al/.forward: Cannot stat: No such file or directory" >&2; exit 2`,
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, "etc/passwd", "p", "home/al/.forward", "f", "home/bo/.forward", "b", "secret", "SECRET")
			require.NoError(t, os.Chown(filepath.Join(root, "home/al"), 1000, 1000))
			programs(t, "tar", "f="+filepath.Join(root, "home/al/.forward")+"\n"+act)
			into := filepath.Join(t.TempDir(), "m")
			want := []string{"etc/passwd", "home/*/.forward"}
			left, err := Fetch(context.Background(), here, root, into, want...)
			require.NoError(t, err)
			require.Equal(t, []Left{{Name: "home/al/.forward"}}, left)
			require.Equal(t, map[string]string{"etc/": "", "etc/passwd": "p", "home/": "", "home/al/": "", "home/bo/": "", "home/bo/.forward": "b"}, tree(t, into))

			// What is root's alone is never left out.
			require.NoError(t, os.Chown(filepath.Join(root, "home/al"), 0, 0))
			require.NoError(t, os.Chown(filepath.Join(root, "home/al/.forward"), 0, 0))
			programs(t, "tar", "f="+filepath.Join(root, "home/al/.forward")+"\n"+strings.ReplaceAll(act, "chown 1000 $f", ":"))
			_, err = Fetch(context.Background(), here, root, into, want...)
			require.Error(t, err)
		})
	}
}

func TestMissingPrograms(t *testing.T) {
	root := host(t, "etc/passwd", "p")
	sh, xargs, find := oracle.Need(t, "sh"), oracle.Need(t, "xargs"), oracle.Need(t, "find")
	dir := t.TempDir()
	for name, at := range map[string]string{"sh": sh, "xargs": xargs, "find": find} {
		require.NoError(t, os.Symlink(at, filepath.Join(dir, name)))
	}
	t.Setenv("PATH", dir)
	into := filepath.Join(t.TempDir(), "m")
	_, err := Fetch(context.Background(), here, root, into, "etc/passwd")
	require.ErrorContains(t, err, "there is no tar")
	require.True(t, hostcmd.Absent(err))
	require.NoDirExists(t, into)
	_, err = Fetch(context.Background(), here, filepath.Join(root, "absent"), into, "x")
	require.Error(t, err)
}

func TestACutStreamPublishesNothing(t *testing.T) {
	root := host(t, "etc/passwd", strings.Repeat("p", 1<<20))
	base := t.TempDir()
	fifo, bin := filepath.Join(base, "fifo"), filepath.Join(base, "bin")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.NoError(t, os.Mkdir(bin, 0o755))
	tar := oracle.Need(t, "tar") + ` "$@" | head -c 100000; echo half >` + fifo + "; exec cat"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "tar"), []byte("#!/bin/sh\n"+tar+"\n"), 0o755))
	s := oracle.SSHD(t, "SetEnv PATH="+bin+":/usr/bin:/bin HOME="+base)
	h, err := hostcmd.Connect(context.Background(), s.Dest)
	require.NoError(t, err)
	defer h.Close()
	go func() {
		if _, err := os.ReadFile(fifo); err == nil {
			s.Cut()
		}
	}()
	into := filepath.Join(base, "a/m")
	_, err = Fetch(context.Background(), h, root, into, "etc/passwd")
	require.ErrorIs(t, err, hostcmd.ErrLost)
	left, err := os.ReadDir(filepath.Dir(into))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBadPatterns(t *testing.T) {
	for _, w := range []string{"etc/[", "a\x00b"} {
		_, err := Fetch(context.Background(), here, t.TempDir(), filepath.Join(t.TempDir(), "m"), w)
		var p *fs.PathError
		require.ErrorAs(t, err, &p)
	}
}
