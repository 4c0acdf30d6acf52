package tree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// benchFiles is spread over Maildirs of 1000 messages of about 2 KB.
const benchFiles = 100_000

// maildirs makes the corpus of the benchmarks.
func maildirs(b *testing.B, root string) {
	b.Helper()
	text := []byte(strings.Repeat("Header: value of a usual length\n", 64))
	for d := range benchFiles / 1000 {
		dir := filepath.Join(root, fmt.Sprintf("home/u%d/Maildir/cur", d))
		require.NoError(b, os.MkdirAll(dir, 0o700))
		for i := range 1000 {
			name := fmt.Sprintf("%s/14200704%02d.M%dP1.host,S=2048:2,S", dir, i%60, i)
			require.NoError(b, os.WriteFile(name, text[:1500+i%548], 0o600))
		}
	}
}

// syncAll is what each copier is charged with at its end.
func syncAll(b *testing.B, dir string) {
	fd, err := openTop(dir)
	require.NoError(b, err)
	defer closeFd(fd)
	require.NoError(b, unix.Syncfs(fd))
}

// BenchmarkFirstCopy copies 100,000 small files beside cp -a and rsync -aHAX, each followed by one syncfs.
func BenchmarkFirstCopy(b *testing.B) {
	cp, rsync := oracle.Need(b, "cp"), oracle.Need(b, "rsync")
	src := b.TempDir()
	maildirs(b, src)
	tools := map[string]func(b *testing.B, dst string){
		"tree": func(b *testing.B, dst string) {
			rep, err := Sync(b.Context(), src, dst, nil)
			require.NoError(b, err)
			require.EqualValues(b, benchFiles, rep.CopiedFiles)
		},
		"tree with state": func(b *testing.B, dst string) {
			_, err := Sync(b.Context(), src, dst, &Options{State: dst + ".state"})
			require.NoError(b, err)
		},
		"cp": func(b *testing.B, dst string) {
			require.NoError(b, exec.Command(cp, "-a", src+"/.", dst).Run())
		},
		"rsync": func(b *testing.B, dst string) {
			require.NoError(b, exec.Command(rsync, "-aHAX", src+"/", dst+"/").Run())
		},
	}
	for _, name := range []string{"tree", "tree with state", "cp", "rsync"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dst := filepath.Join(b.TempDir(), "dst")
				require.NoError(b, os.MkdirAll(dst, 0o755))
				syncAll(b, dst)
				b.StartTimer()
				tools[name](b, dst)
				syncAll(b, dst)
				b.StopTimer()
				require.NoError(b, os.RemoveAll(dst))
				os.Remove(dst + ".state")
				b.StartTimer()
			}
		})
	}
}

// BenchmarkNothingChanged is a second pass over 100,000 files beside rsync's.
func BenchmarkNothingChanged(b *testing.B) {
	rsync := oracle.Need(b, "rsync")
	src, dst, state := b.TempDir(), b.TempDir(), filepath.Join(b.TempDir(), "state")
	maildirs(b, src)
	pass := func(b *testing.B, state string) {
		rep, err := Sync(b.Context(), src, dst, &Options{State: state})
		require.NoError(b, err)
		require.Empty(b, rep.Problems)
	}
	pass(b, state)
	for name, do := range map[string]func(){
		"tree":            func() { pass(b, "") },
		"tree with state": func() { pass(b, state) },
		"rsync":           func() { require.NoError(b, exec.Command(rsync, "-aHAX", "--delete", src+"/", dst+"/").Run()) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do()
			}
		})
	}
}
