package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPlainForgedSection: the tar that reads a user's files runs with that user's rights, so that the user can stop it, trace it
// and write what he likes into the stream that all share: another user's section, and the end of all.
func TestPlainForgedSection(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(src, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(src, name), []byte(text), 0o600))
	}
	write("bob/authorized_keys", "bob's own key\n")
	write("eve/x", "x")
	old := time.Unix(1e9, 0)
	require.NoError(t, os.Chtimes(filepath.Join(src, "bob/authorized_keys"), old, old))
	forged := func(end bool) []byte {
		var b bytes.Buffer
		b.WriteString("MAILMOVE/.\x00")
		w := tar.NewWriter(&b)
		text := "eve's own key\n"
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "./bob/authorized_keys", Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text)), ModTime: old, Uid: os.Getuid(), Gid: os.Getgid()}))
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		if end {
			b.WriteString("MAILMOVE \x00")
		}
		return b.Bytes()
	}
	for _, end := range []bool{false, true} {
		r := here(src)
		start := r.Start
		r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
			out, err := start(ctx, stdin, script, args...)
			if err != nil || !strings.HasPrefix(script, "# send") {
				return out, err
			}
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(forged(end)), out), out}, nil
		}
		_, err := Sync(t.Context(), r, dst, &Options{Pairs: []Pair{{"bob", "bob"}, {"eve", "eve"}}})
		got, _ := os.ReadFile(filepath.Join(dst, "bob/authorized_keys"))
		require.NotEqual(t, "eve's own key\n", string(got), "end: %t, err: %v", end, err)
		require.Error(t, err, "end: %t", end)
	}
}

// TestPlainManyFilesVanish: who empties a folder of some thousand messages while they are copied makes tar say more than a MiB.
func TestPlainManyFilesVanish(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(src, "mine"), []byte("mine"), 0o600))
	said := strings.Repeat("tar: ./eve/mail/"+strings.Repeat("n", 100)+": File removed before we read it\n", 8192)
	r := here(src)
	start := r.Start
	r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		out, err := start(ctx, stdin, script, args...)
		if err != nil || !strings.HasPrefix(script, "# send") {
			return out, err
		}
		all, err := io.ReadAll(out)
		return struct {
			io.Reader
			io.Closer
		}{bytes.NewReader(append(bytes.TrimSuffix(all, []byte{0}), said+"\x00"...)), out}, err
	}
	_, err := Sync(t.Context(), r, dst, nil)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dst, "mine"))
}

// TestPlainTarIsKilled: a user may kill the tar that reads with his rights. The pass cannot go on, and says whose it was.
func TestPlainTarIsKilled(t *testing.T) {
	src, dst, bin := t.TempDir(), t.TempDir(), t.TempDir()
	tar, err := exec.LookPath("tar")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "tar"), []byte("#!/bin/sh\n[ \"$1\" != --help ] || exec "+tar+" --help\nkill -9 $$\n"), 0o755))
	require.NoError(t, os.Chmod(bin, 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.NoError(t, os.WriteFile(filepath.Join(src, "mail"), []byte("mail"), 0o600))
	_, err = Sync(t.Context(), here(src), dst, nil)
	require.ErrorContains(t, err, fmt.Sprintf("tar was killed, or stopped for two minutes, which read with the rights of uid %d", os.Getuid()))
	require.NoFileExists(t, filepath.Join(dst, "mail"))
}

// TestPlainTarIsStopped: a user may stop the tar that reads with his rights, too, or the program that sums his mail. It is not
// waited for for ever. One that only waits is, however long.
func TestPlainTarIsStopped(t *testing.T) {
	src, dst, bin := t.TempDir(), t.TempDir(), t.TempDir()
	tar, err := exec.LookPath("tar")
	require.NoError(t, err)
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	looks := filepath.Join(bin, "looks")
	program := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	require.NoError(t, os.Chmod(bin, 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	program("sleep", "echo >>"+looks+"; exec "+sleep+" 0.02")
	program("tar", "[ \"$1\" != --help ] || exec "+tar+" --help\nkill -STOP $$\n")
	require.NoError(t, os.WriteFile(filepath.Join(src, "mail"), []byte("mail"), 0o600))
	_, err = Sync(t.Context(), here(src), dst, nil)
	require.ErrorContains(t, err, fmt.Sprintf("or stopped for two minutes, which read with the rights of uid %d (", os.Getuid()))
	require.NoFileExists(t, filepath.Join(dst, "mail"))

	program("tar", "[ \"$1\" != --help ] || exec "+tar+" --help\nuntil [ $(wc -l <"+looks+") -gt 20 ]; do "+sleep+" 0.02; done\nexec "+tar+" \"$@\"")
	require.NoError(t, os.Remove(looks))
	_, err = Sync(t.Context(), here(src), dst, nil)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dst, "mail"))

	sum, err := exec.LookPath("sha256sum")
	require.NoError(t, err)
	program("sha256sum", "[ -e "+bin+"/once ] && exec "+sum+" \"$@\"; : >"+bin+"/once; kill -STOP $$")
	sums, err := (&remote{Remote: here(src), plain: true}).sums(t.Context(), []*request{{path: "mail", rights: rights{uid: uint32(os.Getuid())}}})
	require.NoError(t, err)
	_, ok := sums["mail"]
	require.Equal(t, os.Getuid() != 0, ok, "root has summed it, where it was another's to read")
}

// TestPlainForgedSum: a user may make the program that sums his files say something of another's, too.
func TestPlainForgedSum(t *testing.T) {
	line := func(sum [sha256.Size]byte) string { return fmt.Sprintf("=%x  ./bob/mail\x00\n", sum) }
	truth, forged, empty := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), sha256.Sum256(nil)
	for _, said := range [][2][sha256.Size]byte{{truth, forged}, {forged, truth}, {forged, empty}, {empty, forged}} {
		_, err := readSums(strings.NewReader(line(said[0]) + line(said[1]) + "MAILMOVE\n"))
		require.ErrorContains(t, err, `two different ones of "bob/mail"`)
	}
	sums, err := readSums(strings.NewReader(line(truth) + line(truth) + "MAILMOVE\n"))
	require.NoError(t, err)
	require.Equal(t, map[string][sha256.Size]byte{"bob/mail": truth}, sums)
}
