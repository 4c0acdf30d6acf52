package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const killEnv = "TREE_TEST_KILLED"

// TestMain runs a pass instead of the tests when it is to be killed, and answers requests as the helper on another host.
func TestMain(m *testing.M) {
	if os.Getenv("TREE_SERVE") != "" {
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
		if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if args := os.Getenv(killEnv); args != "" {
		f := strings.Split(args, "\n")
		flushAt, drainAt = 4<<10, 16<<10 // save often, also in the middle of directories
		rep, err := Sync(context.Background(), From(f[0]), f[1], &Options{State: f[2], Delete: true})
		fmt.Println(err, rep.Problems)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// stir changes a source in each way that a pass has to follow.
func stir(t *testing.T, src string, round int) {
	t.Helper()
	in := func(n string) string { return filepath.Join(src, "h", n) }
	for i := range 40 {
		write(t, in(fmt.Sprintf("Maildir/new/%d.%d.h", round, i)), fmt.Sprint("message ", round, i))
		write(t, in(fmt.Sprintf("files/%d", i)), strings.Repeat("x", (i+1)*(round+1)*37))
	}
	write(t, in("mail/Sent"), strings.Repeat(mail, round+1))
	news, err := os.ReadDir(in("Maildir/new"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(in("Maildir/cur"), 0o700))
	for i, e := range news {
		switch i % 3 {
		case 0:
			require.NoError(t, os.Rename(in("Maildir/new/"+e.Name()), in("Maildir/cur/"+e.Name()+":2,S")))
		case 1:
			require.NoError(t, os.Remove(in("Maildir/new/"+e.Name())))
		}
	}
	require.NoError(t, os.RemoveAll(in("was")))
	write(t, in(fmt.Sprintf("dir%d/was/f", round)), "x")
	require.NoError(t, os.RemoveAll(in(fmt.Sprintf("dir%d", round-2))))
	require.NoError(t, os.Link(in("files/0"), in(fmt.Sprintf("link%d", round))))
}

// A pass is killed at any moment; each file at the target is whole, and the next pass completes the work.
func TestKilledAnywhere(t *testing.T) {
	src, dst := roots(t)
	state := filepath.Join(t.TempDir(), "state")
	kills := 0
	span := 30 * time.Millisecond
	for round := 0; kills < 20; round++ {
		require.Less(t, round, 200)
		stir(t, src, round)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), killEnv+"="+src+"\n"+dst+"\n"+state)
		require.NoError(t, cmd.Start())
		timer := time.AfterFunc(2*time.Millisecond+rand.N(span), func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			kills++
		}
		timer.Stop()
		got, _ := look(t, dst)
		for path, s := range got {
			if n, ok := strings.CutPrefix(path, "h/files/"); ok && s.size > 0 {
				var i int64
				fmt.Sscan(n, &i)
				require.Zero(t, s.size%((i+1)*37), "half a file: %s", path)
			}
		}
		if round%3 == 2 { // else the next pass too meets a source that moved on
			syncOK(t, src, dst, &Options{State: state, Delete: true})
			sameTrees(t, src, dst, nil)
			require.NoFileExists(t, state+".journal")
			noTemps(t, dst)
		}
	}
	syncOK(t, src, dst, &Options{State: state, Delete: true})
	sameTrees(t, src, dst, nil)
	left, err := filepath.Glob(filepath.Join(src, "h/mail/*.lock"))
	require.NoError(t, err)
	require.Empty(t, left)
}
