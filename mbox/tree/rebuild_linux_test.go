package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// someMail is message i of a large mailbox, some 20 KB, as Dovecot leaves it: its UID, flags and padding are in the header.
func someMail(i int) string {
	rnd := rand.New(rand.NewPCG(uint64(i), 3))
	var b strings.Builder
	fmt.Fprintf(&b, "From s%d@a.test Thu Jan  1 00:00:01 2015\nFrom: s%[1]d@a.test\nSubject: number %[1]d\nX-UID: %d\nStatus: O \nX-Status:     \nX-Keywords:                    \n\n", i, i+1)
	for range 300 {
		fmt.Fprintf(&b, "%064x\n", rnd.Uint64())
	}
	return b.String() + "\n"
}

// someMails are n of them.
func someMails(n int) (all []string) {
	for i := range n {
		all = append(all, someMail(i))
	}
	return all
}

// marked are messages of which one in three got flags.
func marked(all []string) (out []string) {
	for i, m := range all {
		if i%3 == 0 {
			m = strings.Replace(strings.Replace(m, "Status: O ", "Status: RO", 1), "X-Status:     ", "X-Status: AF  ", 1)
		}
		out = append(out, m)
	}
	return out
}

// openRoots gives roots that users can reach, too.
func openRoots(t testing.TB) (src, dst string) {
	t.Helper()
	src, dst = roots(t)
	for up := filepath.Dir(src); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		require.NoError(t, os.Chmod(up, 0o755))
	}
	return src, dst
}

// fetched counts what came in archives and in parts.
func (b *between) fetched() (whole, parts int) { return b.sent[fetchScript], b.sent[partsScript] }

// boxChange is what mail programs do to a mailbox.
type boxChange struct {
	old, now string
	most     int // bytes of content that may come
}

func boxChanges() map[string]boxChange {
	const n = 120
	base := someMails(n)
	join := func(lists ...[]string) (s string) {
		for _, all := range lists {
			s += strings.Join(all, "")
		}
		return s
	}
	without := func(all []string, gone ...int) (out []string) {
		for i, m := range all {
			if !slices.Contains(gone, i) {
				out = append(out, m)
			}
		}
		return out
	}
	bare := func(all []string) (out []string) { // as delivery leaves them
		for _, m := range all {
			at, end := strings.Index(m, "X-UID:"), strings.Index(m, "\n\n")
			out = append(out, m[:at]+m[end+1:])
		}
		return out
	}
	edited := []byte(join(base))
	copy(edited[len(edited)/2:], "ANOTHER BODY")
	const new = 20<<10 + 2<<10 // a message
	return map[string]boxChange{
		"mail came":              {join(base), join(base, []string{someMail(n), someMail(n + 1)}), 2 * new},
		"flags":                  {join(base), join(marked(base)), n / 3 * 30},
		"expunged":               {join(base), join(without(base, 0, 50, 51, 99)), 0},
		"only the first left":    {join(base), join(base[:60]), 0},
		"only the last left":     {join(base), join(base[60:]), 0},
		"all of that":            {join(base), join(marked(without(base, 7, 60, 118)), []string{someMail(n)}), new + n/3*30},
		"first opened":           {join(bare(base)), join(base), n * 100},
		"UIDs are forgotten":     {join(base), join(bare(base)), 0},
		"the same message twice": {join(base, base[5:6]), join(base[:5], base[6:], base[5:6]), 0},
		"in another order":       {join(base), join(base[60:], base[:60]), 0},
		"a body was edited":      {join(base), string(edited), 64 << 10},
		"no end of line":         {join(base), strings.TrimSuffix(join(base), "\n") + "\nFrom x\nStatus: R", 1 << 10},
		"no end of line before":  {strings.TrimSuffix(join(base), "\n\n"), join(base, []string{someMail(n)}), 2 * new},
	}
}

// What is guessed of a mailbox, and what is asked for, is the new one; only a body that was edited nobody can guess.
func TestOverlay(t *testing.T) {
	for name, c := range boxChanges() {
		was, err := scanMarks(t.Context(), strings.NewReader(c.old), int64(len(c.old)))
		require.NoError(t, err)
		now, err := scanMarks(t.Context(), strings.NewReader(c.now), int64(len(c.now)))
		require.NoError(t, err)
		parts := layOver(was, now)
		size := int64(len(c.now))
		got, came := make([]byte, size), int64(0)
		for _, p := range parts {
			text := p.text
			if came += int64(len(text)); text == nil {
				text = []byte(c.old[p.old:][:p.n])
			}
			copy(got[p.at:], text)
		}
		for _, e := range missing(parts, size, 512) {
			came += e.n
			copy(got[e.at:], c.now[e.at:][:e.n])
		}
		require.LessOrEqual(t, came, int64(c.most), name)
		require.Equal(t, name != "a body was edited", string(got) == c.now, name)
	}
}

// Of a mailbox that changed only what is new comes, and the result is what the old host has.
func TestPlainTakesPartsOfMailboxes(t *testing.T) {
	changes := boxChanges()
	for _, name := range []string{"mail came", "all of that", "first opened", "a body was edited", "no end of line"} {
		c := changes[name]
		t.Run(name, func(t *testing.T) {
			src, dst := openRoots(t)
			box := filepath.Join(src, "var/mail/alice")
			write(t, box, c.old)
			ownedBy(t, filepath.Join(src, "var/mail/alice"), 666)
			opt := &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"var/mail/alice", "var/mail/alice"}}}
			require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
			require.NoError(t, os.WriteFile(box, []byte(c.now), 0o600))
			b := &between{}
			rep := plainPass(t, b.remote(src), dst, opt)
			require.Empty(t, rep.Problems)
			require.EqualValues(t, 1, rep.CopiedFiles)
			require.LessOrEqual(t, rep.CopiedBytes, int64(c.most))
			all, parts := b.fetched()
			require.Zero(t, all, "it was sent whole")
			require.Less(t, parts, len(c.now)/20+c.most)
			sameTrees(t, box, filepath.Join(dst, "var/mail/alice"), nil)
			noTemps(t, dst)
		})
	}
}

// Of other large files the blocks come that differ, what they got at their end, and the attributes.
func TestPlainTakesPartsOfFiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return string(b)
	}
	base := random(3<<20 + 77)
	at := func(text, new string, at int) string { return text[:at] + new + text[at+len(new):] }
	for name, c := range map[string]struct {
		now  string
		most int
	}{
		"grown":             {base + random(5000), 6 << 10},
		"shorter":           {base[:2<<20+1], 0},
		"written to":        {at(at(base, "X", 5), "YYYY", 2<<20), 2 * 16 << 10},
		"and grown":         {at(base, "YYYY", 1<<20-2) + random(5000), 2*16<<10 + 6<<10},
		"as before":         {base, 0},
		"something new":     {random(3 << 20), 3 << 20},
		"in another place":  {"x" + base, len(base) + 1},
		"smaller than that": {base[:largeFrom-1], int(largeFrom) - 1},
		"empty":             {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := openRoots(t)
			file := filepath.Join(src, "home/alice/db")
			write(t, file, base)
			ownedBy(t, filepath.Join(src, "home/alice"), 666)
			opt := &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"home/alice", "home/alice"}}}
			require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
			require.NoError(t, os.WriteFile(file, []byte(c.now), 0o600))
			require.NoError(t, unix.Setxattr(file, "user.note", []byte("now"), 0))
			rep := plainPass(t, here(src), dst, opt)
			require.Empty(t, rep.Problems)
			require.LessOrEqual(t, rep.CopiedBytes, int64(c.most))
			sameTrees(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"), nil)
			noTemps(t, dst)
		})
	}
}

// A name may have any byte, and be an option's or a pattern's; who owns file and directory decides with whose rights it is read.
func TestPlainPartsOfAnyNameAndOwner(t *testing.T) {
	oracle.Root(t)
	every := make([]byte, 0, 253)
	for i := 1; i < 256; i++ {
		if i != '/' {
			every = append(every, byte(i))
		}
	}
	text := strings.Join(someMails(60), "")
	now := text + someMail(60)
	src, dst := openRoots(t)
	names := []string{"-n", "new\nline", "\n", " a  b ", `\101 "$(id)" *`, "\xff\xfe", string(every[:127]), string(every[127:]), "end\n"}
	var files []string
	for i, n := range names {
		for k, dir := range []string{"home/alice/mail", "home/bob/\xe9 x\n", "var/mail"} {
			if (i+k)%2 == 0 {
				files = append(files, filepath.Join(dir, n))
			}
		}
	}
	for _, f := range files {
		write(t, filepath.Join(src, f), text)
	}
	ownedBy(t, filepath.Join(src, "home/alice"), 666)
	ownedBy(t, filepath.Join(src, "home/bob"), 667)
	require.NoError(t, os.Chmod(filepath.Join(src, "home/bob/\xe9 x\n"), 0o770))
	require.NoError(t, os.Chmod(filepath.Join(src, "var/mail"), 0o3777))
	for i, f := range files { // each of another in the spool, and one in a home that only root can read
		if strings.HasPrefix(f, "var/mail") {
			require.NoError(t, os.Lchown(filepath.Join(src, f), 700+i, 8))
		}
	}
	require.NoError(t, os.Chmod(filepath.Join(src, files[0]), 0))
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	for _, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(src, f), []byte(now), 0o600))
	}
	before := map[string]unix.Stat_t{}
	for _, f := range files {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(src, f), &st))
		before[f] = st
	}
	rep := plainPass(t, here(src), dst, opt)
	require.Empty(t, rep.Problems)
	require.EqualValues(t, len(files), rep.CopiedFiles)
	require.Less(t, rep.CopiedBytes, int64(len(files)*22<<10+len(now)), "all but what its owner cannot read comes in parts")
	for _, f := range files {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(src, f), &st))
		require.Equal(t, before[f].Atim, st.Atim, "%q was read, and its time says so", f)
	}
	sameTrees(t, src, dst, nil)
}

// What has holes comes without them, and what is linked keeps its names.
func TestPlainPartsAndHoles(t *testing.T) {
	src, dst := openRoots(t)
	text := strings.Join(someMails(60), "")
	write(t, filepath.Join(src, "h/box"), text)
	write(t, filepath.Join(src, "h/holes"), text)
	require.NoError(t, os.Link(filepath.Join(src, "h/box"), filepath.Join(src, "h/two")))
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	require.NoError(t, os.WriteFile(filepath.Join(src, "h/box"), []byte(text+someMail(60)), 0o600))
	require.NoError(t, os.Truncate(filepath.Join(src, "h/holes"), 64<<20))
	rep := plainPass(t, here(src), dst, opt)
	require.Empty(t, rep.Problems)
	require.Less(t, rep.CopiedBytes, int64(len(text)+22<<10))
	sameTrees(t, src, dst, nil)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dst, "h/holes"), &st))
	require.Less(t, st.Blocks*512, int64(8<<20))
}

// FuzzOverlay: whatever grep is said to have found, the guess lies within both files and in the order of the new one.
func FuzzOverlay(f *testing.F) {
	box := mail + strings.Replace(mail, "\n\n", "\nStatus: RO\nX-UID: 7\n\n", 1) + mail
	f.Add([]byte(box), []byte("0:From a@b Thu Jan  1 00:00:01 2015\n63:From a@b Thu Jan  1 00:00:01 2015\n110:Status: RO\n"), int64(150))
	f.Add([]byte(box), []byte("0:From x\n"), int64(1<<40))
	f.Add([]byte("Status: \nFrom "), []byte("0:Status: \n9:From \n"), int64(14))
	f.Fuzz(func(t *testing.T, old, says []byte, size int64) {
		size = max(size, 0)
		was, err := scanMarks(t.Context(), bytes.NewReader(old), int64(len(old)))
		require.NoError(t, err)
		now, err := readMarks(bytes.NewReader(says), size)
		if err != nil {
			return
		}
		at, known := int64(0), int64(0)
		parts := layOver(was, now)
		for _, p := range parts {
			require.GreaterOrEqual(t, p.at, at)
			require.Positive(t, p.n)
			at = p.at + p.n
			known += p.n
			if p.text == nil {
				require.GreaterOrEqual(t, p.old, int64(0))
				require.LessOrEqual(t, p.old+p.n, int64(len(old)))
			}
		}
		require.LessOrEqual(t, at, size)
		want := missing(parts, size, 512)
		require.LessOrEqual(t, len(want), maxExtents)
		require.GreaterOrEqual(t, total(want), size-known)
		at = 0
		for _, e := range want {
			require.GreaterOrEqual(t, e.at, at)
			at = e.at + e.n
		}
		require.LessOrEqual(t, at, max(size, 0))
	})
}

// What no grep says is refused.
func TestMarksLies(t *testing.T) {
	for name, says := range map[string]string{
		"words":                 "garbage",
		"no mark":               "0:From x\n20:To: x\n",
		"beyond the end":        "0:From x\n1000:From x\n",
		"beyond all numbers":    "0:From x\n99999999999999999999999:From x\n",
		"negative":              "-5:From x\n",
		"signed":                "+0:From x\n",
		"over each other":       "0:From xxxxxxxxxxxxxxxx\n5:From x\n",
		"backwards":             "0:From x\n500:From x\n400:From x\n",
		"the first one is late": "5:From x\n",
		"no end":                "0:From x",
		"cut by the end":        "0:From x\n997:From x\n",
		"more than can be kept": "0:From " + strings.Repeat("x", maxMarks) + "\n",
		"an endless number":     strings.Repeat("1", 1<<20),
	} {
		_, err := readMarks(strings.NewReader(says), 1000)
		require.Error(t, err, name)
	}
	m, err := readMarks(strings.NewReader("0:From x\n995:From x\n"), 1000)
	require.NoError(t, err)
	require.Equal(t, "From ", string(m.line(1)))
}

// Our own look finds what grep finds.
func TestMarksAreGreps(t *testing.T) {
	grep := oracle.Need(t, "grep")
	long := "X-Keywords: " + strings.Repeat("k", 600<<10) + "\n"
	text := strings.Join(someMails(3), "") + "Status\nXX-UID: \n\x00Status: x\nX-IMAPbase: 1 2\nX-IMAP: 3\n" + long + "y" + long + "Content-Length: 5\nX-Mozilla-Keys: \r\nFrom\nFrom x"
	name := filepath.Join(t.TempDir(), "box")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	cmd := exec.Command(grep, "-ab", "-e", markPattern, name)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	require.NoError(t, err)
	theirs, err := readMarks(bytes.NewReader(out), int64(len(text)))
	require.NoError(t, err)
	ours, err := scanMarks(t.Context(), strings.NewReader(text), int64(len(text)))
	require.NoError(t, err)
	require.Len(t, ours.at, 3*5+6)
	require.Equal(t, ours, theirs)
}
