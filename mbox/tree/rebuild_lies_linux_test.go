package tree

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// grown is a large mailbox that was copied and got a message since, some flags, and lost one.
type grown struct {
	src, dst, box string
	was, now      string
	opt           *Options
}

func newGrown(t *testing.T) *grown {
	t.Helper()
	g := &grown{opt: &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"h", "h"}}}}
	g.src, g.dst = openRoots(t)
	g.box = filepath.Join(g.src, "h/mail/box")
	all := someMails(60)
	g.was = strings.Join(all, "")
	g.now = strings.Join(append(marked(append(all[:20:20], all[21:]...)), someMail(60)), "")
	write(t, g.box, g.was)
	write(t, filepath.Join(g.src, "h/other"), "other")
	ownedBy(t, filepath.Join(g.src, "h"), 666)
	require.Empty(t, plainPass(t, here(g.src), g.dst, g.opt).Problems)
	require.NoError(t, os.WriteFile(g.box, []byte(g.now), 0o600))
	return g
}

// turn makes the old mailbox the new one of the next pass.
func (g *grown) turn(t *testing.T) {
	t.Helper()
	g.was, g.now = g.now, g.was
	require.NoError(t, os.WriteFile(g.box, []byte(g.now), 0o600))
}

func (g *grown) got(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dst, "h/mail/box"))
	require.NoError(t, err)
	return string(b)
}

// completes runs a pass that has an honest host, after which both sides are the same.
func (g *grown) completes(t *testing.T) {
	t.Helper()
	noTemps(t, g.dst)
	require.Empty(t, plainPass(t, here(g.src), g.dst, g.opt).Problems)
	sameTrees(t, filepath.Join(g.src, "h"), filepath.Join(g.dst, "h"), nil)
	noTemps(t, g.dst)
}

// Whatever is said of parts, the target has the old mailbox or the true new one, and the pass comes to its end.
func TestPlainPartsLies(t *testing.T) {
	code := func(text string) []byte {
		return []byte(base64.StdEncoding.EncodeToString([]byte(text)) + "\nMAILMOVE\n")
	}
	decoded := func(b []byte) string {
		text, _ := base64.StdEncoding.DecodeString(strings.TrimSuffix(string(b), "\nMAILMOVE\n"))
		return string(text)
	}
	says := func(text string) func([]byte) []byte { return func([]byte) []byte { return code(text) } }
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			if at < 0 {
				at += len(b)
			}
			b[at] ^= 1
			return b
		}
	}
	edited := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return code(strings.Replace(decoded(b), old, new, 1)) }
	}
	g := newGrown(t)
	for name, c := range map[string]struct {
		nth  int // of the answers
		edit func([]byte) []byte
		ends bool // it ends the pass
	}{
		"marks of nothing":           {0, says("garbage"), false},
		"another line":               {0, edited("X-UID: 30", "X-UID: 99"), false},
		"another message":            {0, edited("s7@", "s6@"), false},
		"no base64":                  {0, func([]byte) []byte { return []byte("****\nMAILMOVE\n") }, false},
		"no end of line":             {0, func(b []byte) []byte { return b[:1000] }, true},
		"nothing":                    {0, func([]byte) []byte { return nil }, true},
		"another end":                {0, flip(-3), true},
		"more behind the end":        {0, func(b []byte) []byte { return append(b, b...) }, true},
		"endless marks":              {0, func([]byte) []byte { return bytes.Repeat([]byte("QUFB"), maxMarks/2) }, true},
		"a header of something else": {1, flip(3), false},
		"other mail":                 {1, flip(headBytes + 100), false},
		"another sum": {1, func(b []byte) []byte {
			return bytes.Replace(b, b[len(b)-9-65:len(b)-9], []byte(strings.Repeat("0", 64)+"\n"), 1)
		}, false},
		"no sum":            {1, func(b []byte) []byte { b[len(b)-20] = 'x'; return b }, true},
		"a part more":       {1, func(b []byte) []byte { return append(b[:9000:9000], b[8000:]...) }, true},
		"cut in the header": {1, func(b []byte) []byte { return b[:4000] }, true},
		"cut in a part":     {1, func(b []byte) []byte { return b[:headBytes+99] }, true},
	} {
		t.Run(name, func(t *testing.T) {
			defer g.turn(t)
			n := 0
			b := &between{edit: func(script string, all []byte) []byte {
				if script == partsScript {
					if n++; n == c.nth+1 {
						return c.edit(all)
					}
				}
				return all
			}}
			rep, err := Sync(t.Context(), b.remote(g.src), g.dst, g.opt)
			require.GreaterOrEqual(t, n, c.nth+1, "the answer was not asked for")
			if c.ends {
				require.Error(t, err)
				require.True(t, g.got(t) == g.was, "neither the old mailbox nor the new one")
				g.completes(t)
			} else {
				require.NoError(t, err)
				require.Empty(t, rep.Problems)
				require.True(t, g.got(t) == g.now, "not the new mailbox")
			}
		})
	}
}

// A wrong sum of the whole leads to sums of blocks: these may be wrong, too.
func TestPlainBlocksLie(t *testing.T) {
	g := newGrown(t)
	for name, edit := range map[string]func(string) string{
		"all differ":     func(s string) string { return strings.ReplaceAll(s, "1", "2") },
		"one less":       func(s string) string { return s[strings.IndexByte(s, '\n')+1:] },
		"one more":       func(s string) string { return s + s[:strings.IndexByte(s, '\n')+1] },
		"none":           func(string) string { return "" },
		"words":          func(string) string { return "a b\nc d\n" },
		"another length": func(s string) string { return strings.Replace(s, " 65536", " 65537", 1) },
		"none differs":   func(s string) string { return s },
	} {
		t.Run(name, func(t *testing.T) {
			defer g.turn(t)
			n := 0
			b := &between{edit: func(script string, all []byte) []byte {
				if script != partsScript {
					return all
				}
				switch n++; n {
				case 2: // the sum
					copy(all[len(all)-9-65:], strings.Repeat("0", 64))
				case 3:
					text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(string(all), "\nMAILMOVE\n"))
					require.NoError(t, err)
					return []byte(base64.StdEncoding.EncodeToString([]byte(edit(string(text)))) + "\nMAILMOVE\n")
				}
				return all
			}}
			rep, err := Sync(t.Context(), b.remote(g.src), g.dst, g.opt)
			if err == nil { // too long an answer ends the pass
				require.Empty(t, rep.Problems)
				require.True(t, g.got(t) == g.now, "not the new mailbox")
			} else {
				require.True(t, g.got(t) == g.was, "neither the old mailbox nor the new one")
			}
			require.GreaterOrEqual(t, n, 3)
			g.completes(t)
		})
	}
}

// Somebody else writes between two questions, or puts something else in the place of the mailbox: what is published was there as
// a whole at one time, nothing of others is read, no FIFO is waited for, and the next pass completes.
func TestPlainPartsOfWhatChanges(t *testing.T) {
	oracle.Root(t)
	outside := filepath.Join(t.TempDir(), "outside")
	secret := strings.ReplaceAll(strings.Join(someMails(61), ""), "Subject: number", "Subject: SECRET")
	swaps := map[string]func(t *testing.T, g *grown){
		"mail": func(t *testing.T, g *grown) {
			require.NoError(t, os.WriteFile(g.box, []byte(g.now+someMail(77)), 0o600))
		},
		"other flags": func(t *testing.T, g *grown) {
			require.NoError(t, os.WriteFile(g.box, []byte(g.now[:len(g.now)/2]+g.was[:len(g.was)/2]), 0o600))
		},
		"cut":  func(t *testing.T, g *grown) { require.NoError(t, os.Truncate(g.box, 5000)) },
		"gone": func(t *testing.T, g *grown) { require.NoError(t, os.Remove(g.box)) },
		"a link": func(t *testing.T, g *grown) {
			require.NoError(t, os.Remove(g.box))
			require.NoError(t, os.Symlink(filepath.Join(outside, "box"), g.box))
		},
		"a FIFO": func(t *testing.T, g *grown) {
			require.NoError(t, os.Remove(g.box))
			require.NoError(t, unix.Mkfifo(g.box, 0o600))
		},
		"a hard link": func(t *testing.T, g *grown) {
			require.NoError(t, os.Remove(g.box))
			require.NoError(t, os.Link(filepath.Join(outside, "box"), g.box))
		},
		"the directory": func(t *testing.T, g *grown) {
			require.NoError(t, os.Rename(filepath.Dir(g.box), filepath.Join(g.src, "h/aside")))
			require.NoError(t, os.Symlink(outside, filepath.Dir(g.box)))
		},
	}
	write(t, filepath.Join(outside, "box"), secret)
	g := newGrown(t)
	for name, swap := range swaps {
		for nth := range 4 {
			shared := nth >= 2 // then root has to read
			if shared && !strings.Contains(name, "link") && name != "the directory" {
				continue
			}
			t.Run(fmt.Sprintf("%s, shared %t, before question %d", name, shared, nth%2), func(t *testing.T) {
				defer g.turn(t)
				if require.NoError(t, os.Chmod(filepath.Join(g.src, "h/mail"), 0o700)); shared {
					require.NoError(t, os.Chmod(filepath.Join(g.src, "h/mail"), 0o770))
				}
				n := 0
				b := &between{before: func(script string) {
					if script == partsScript {
						if n++; n == nth%2+1 {
							swap(t, g)
						}
					}
				}}
				_, err := Sync(t.Context(), b.remote(g.src), g.dst, g.opt)
				require.NoError(t, err)
				require.GreaterOrEqual(t, n, nth%2+1)
				notCopied(t, g.dst, "SECRET")
				noTemps(t, g.dst)
				want := g.was
				if info, err := os.Lstat(g.box); err == nil && info.Mode().IsRegular() && name != "the directory" {
					now, err := os.ReadFile(g.box)
					require.NoError(t, err)
					if g.got(t) == string(now) {
						want = string(now)
					}
				}
				require.True(t, g.got(t) == want, "neither the old mailbox nor the new one")
				require.NoError(t, os.RemoveAll(filepath.Dir(g.box)))
				require.NoError(t, os.RemoveAll(filepath.Join(g.src, "h/aside")))
				write(t, g.box, g.now)
				ownedBy(t, filepath.Join(g.src, "h"), 666)
				g.completes(t)
			})
		}
	}
}

// A user's own programs tell of his files: he can make them say anything of these, and nothing of others. Here they are all a
// program that writes what the honest ones would of another's file, and the end.
func TestPlainPartsForged(t *testing.T) {
	oracle.Root(t)
	src, dst := openRoots(t)
	text := strings.Join(someMails(60), "")
	for uid, name := range map[int]string{666: "eve", 667: "bob"} {
		write(t, filepath.Join(src, name, "box"), text)
		ownedBy(t, filepath.Join(src, name), uid)
	}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"eve", "eve"}, {"bob", "bob"}}}
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	now := text + someMail(60)
	require.NoError(t, os.WriteFile(filepath.Join(src, "eve/box"), []byte(now), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(src, "bob/box"), []byte(now), 0o600))
	bin := t.TempDir()
	for up := bin; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		require.NoError(t, os.Chmod(up, 0o755))
	}
	dd := oracle.Need(t, "dd")
	require.NoError(t, os.WriteFile(filepath.Join(bin, "dd"), []byte("#!/bin/sh\n[ \"$(id -u)\" = 666 ] || exec "+dd+` "$@"
for fd in 1 3 4 5 6 7 8 9; do
	for i in 1 2 3; do printf '0:From x\nMDpGcm9tIHgK\nMAILMOVE\n'; done 2>/dev/null >&$fd
done 2>/dev/null
head -c 300000 /dev/zero
`), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	rep := plainPass(t, here(src), dst, opt)
	require.Empty(t, rep.Problems)
	require.Less(t, rep.CopiedBytes, int64(len(now)+60<<10), "bob's came in parts")
	sameTrees(t, filepath.Join(src, "bob"), filepath.Join(dst, "bob"), nil)
	sameTrees(t, filepath.Join(src, "eve"), filepath.Join(dst, "eve"), nil)
}
