//go:build linux

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fullmigrate": hooked,
		"mailmove":    main, // its name on the old host
		"dovecot":     func() { daemon(map[int]string{143: "* OK ready", 110: "+OK ready"}) },
		"popper":      func() { daemon(map[int]string{995: ""}) },
		"master":      func() { daemon(map[int]string{25: "220 ready"}) },
	})
}

// hosts builds the demo's two hosts in a directory of the test.
func hosts(t testing.TB) (from, to string) {
	dir := t.TempDir()
	from, to = filepath.Join(dir, "old"), filepath.Join(dir, "new")
	require.NoError(t, build("old", from))
	require.NoError(t, build("new", to))
	return from, to
}

// command runs the program as a process of its own: testscript.Main makes the test binary stand for it.
func command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &exec.Cmd{Path: self, Args: append([]string{"fullmigrate"}, args...)}
}

// facts tells all about the tree at dir that must be the same after a run that was cut and one that was not: not the
// inode numbers, nor times of directories that both hosts had, nor the run's own directory.
func facts(t testing.TB, dir string, times bool) []string {
	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, _ := filepath.Rel(dir, p)
		if !times && strings.HasPrefix(rel, "var/lib") || filepath.Base(rel) == fileState {
			return nil // a later run notes in its state what stands still by then
		}
		info, err := e.Info()
		require.NoError(t, err)
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%s %v %d:%d", rel, info.Mode(), st.Uid, st.Gid)
		if times || strings.HasPrefix(rel, "home/") && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 {
			line += fmt.Sprint(" ", info.ModTime().UnixNano())
		}
		if times {
			line += fmt.Sprint(" ", st.Ino, " ", st.Ctim)
		}
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if !errors.Is(err, fs.ErrPermission) {
				require.NoError(t, err)
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		all = append(all, line)
		return nil
	}))
	return all
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// hosts DIR: the demo's hosts as DIR/old and DIR/new
			"hosts": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, host := range []string{"old", "new"} {
					ts.Check(build(host, filepath.Join(ts.MkAbs(args[0]), host)))
				}
			},
			// keep DIR, then kept DIR: no byte, time or inode below DIR changed in between
			"keep": func(ts *testscript.TestScript, _ bool, args []string) {
				list := strings.Join(facts(t, ts.MkAbs(args[0]), true), "\n")
				ts.Check(os.WriteFile(ts.MkAbs("."+args[0]+".facts"), []byte(list), 0o600))
			},
			"kept": func(ts *testscript.TestScript, _ bool, args []string) {
				was := strings.Split(ts.ReadFile("."+args[0]+".facts"), "\n")
				require.Equal(t, was, facts(t, ts.MkAbs(args[0]), true), args[0])
			},
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
	})
}

// TestKilledAnywhere kills the program at random moments; the same command then completes what one that was left alone does.
func TestKilledAnywhere(t *testing.T) {
	from, to := hosts(t)
	out, err := command("-from", from, "-to", to, "-apply").CombinedOutput()
	require.NoError(t, err, string(out))
	want := facts(t, to, false)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		from, to := hosts(t)
		for range 4 {
			c := command("-from", from, "-to", to, "-apply")
			require.NoError(t, c.Start())
			timer := time.AfterFunc(rand.N(120*time.Millisecond), func() { _ = c.Process.Kill() })
			_ = c.Wait()
			timer.Stop()
		}
		out, err := command("-from", from, "-to", to, "-apply").CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, want, facts(t, to, false), string(out))
	}
}

// TestAccountsChangedAfterACut: somebody adds a user between a cut run and the next. The next one keeps him, and the ids.
func TestAccountsChangedAfterACut(t *testing.T) {
	from, to := hosts(t)
	passwd := filepath.Join(to, "etc/passwd")
	before, err := os.ReadFile(passwd)
	require.NoError(t, err)
	out, err := command("-from", from, "-to", to, "-apply").CombinedOutput()
	require.NoError(t, err, string(out))
	merged, err := os.ReadFile(passwd)
	require.NoError(t, err)

	// As if the run had been cut before its last rename.
	journal := filepath.Join(to, "var/lib/mailmove/mail.example.org/journal")
	data, err := os.ReadFile(journal)
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(data), "\n")
	require.NoError(t, os.WriteFile(journal, []byte(first+"\n"), 0o600))
	require.NoError(t, os.WriteFile(passwd, append(before, "zoe:x:1500:100:Zoe:/home/zoe:/bin/sh\n"...), 0o644))

	out, err = command("-from", from, "-to", to, "-apply").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "planning anew")
	got, err := os.ReadFile(passwd)
	require.NoError(t, err)
	require.Contains(t, string(got), "zoe:x:1500:")
	for line := range strings.Lines(string(merged)) {
		require.Contains(t, string(got), line)
	}
}
