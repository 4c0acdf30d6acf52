package tree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// restless changes the type of one of a few names: file, link to a file or a directory elsewhere, FIFO, directory, nothing.
func restless(src, outside string, rnd *rand.Rand) string {
	names := []string{"h/Maildir/cur/1:2,", "h/Maildir/.Sent", "h/mail/box", "h/Maildir/dovecot-uidlist", "h/mail/.imap"}
	name, kind := names[rnd.IntN(len(names))], rnd.IntN(6)
	p := filepath.Join(src, name)
	os.RemoveAll(p)
	switch kind {
	case 0:
		os.WriteFile(p, []byte(mail), 0o600)
	case 1:
		os.Symlink(filepath.Join(outside, "cur/secret"), p)
	case 2:
		os.Symlink(outside, p)
	case 3:
		unix.Mkfifo(p, 0o600)
	case 4:
		os.MkdirAll(filepath.Join(p, "cur"), 0o700)
		os.WriteFile(filepath.Join(p, "cur/2:2,"), []byte("mine"), 0o600)
	}
	return fmt.Sprint(kind, " ", name)
}

// Names change their type between any two steps of a pass, in the first and the second walk; no pass takes its own work
// for somebody else's, and when all is quiet the next one completes.
func TestRestlessNames(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			src, dst := roots(t)
			outside := filepath.Join(t.TempDir(), "outside")
			write(t, filepath.Join(outside, "cur/secret"), "SECRET")
			write(t, filepath.Join(src, "h/mail/.subscriptions"), "box\n")
			write(t, filepath.Join(src, "h/Maildir/cur/0:2,"), "zero")
			opt := &Options{State: filepath.Join(t.TempDir(), "s"), Delete: true, Pairs: []Pair{{"h", "h"}}}
			rnd := rand.New(rand.NewPCG(seed, 47))
			var log []string
			var mu sync.Mutex // the copying goroutines open files too
			withHooks(t, hooks{opening: func(d *dir, name string) {
				mu.Lock()
				defer mu.Unlock()
				if rnd.IntN(3) == 0 {
					log = append(log, "opening "+d.join(name)+": "+restless(src, outside, rnd))
				}
			}})
			passes := 60
			if os.Getenv("TREE_SOURCE") == "plain" { // each is some processes
				passes = 10
			}
			for pass := range passes {
				log = append(log, restless(src, outside, rnd), fmt.Sprint("pass ", pass))
				rep, err := Sync(t.Context(), From(src), dst, opt)
				require.NoError(t, err)
				log = append(log, problems(rep)...)
				require.NotContains(t, strings.Join(problems(rep), "\n"), "changed at the target",
					"%s", strings.Join(log[max(0, len(log)-40):], "\n"))
			}
			testHooks = nil
			syncOK(t, src, dst, opt)
			sameTrees(t, filepath.Join(src, "h"), filepath.Join(dst, "h"), nil)
			notCopied(t, dst, "SECRET")
			noTemps(t, dst)
		})
	}
}
