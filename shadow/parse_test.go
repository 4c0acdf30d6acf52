package shadow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

// shadowLines holds lines of etc/shadow and what libc reads from them: the name, or "" for nothing.
var shadowLines = []struct {
	line string
	name string
	want []string // problems
}{
	{"u:x:0:0:0:0:0:0:0", "u", nil},
	{"u:x:::::::", "u", nil},
	{"u::::::::", "u", []string{"empty-password"}},
	{"u:x:19000:0:99999:7:::", "u", nil},
	{"u:x:19000:0:99999", "u", []string{"svr-form"}},
	{"u:x:19000:0:99999:", "u", []string{"svr-form"}},
	{"u:x:19000:0:99999:  ", "u", []string{"svr-form", "number-form"}},
	{"u:x:::", "", []string{"field-count"}},
	{"u:x::::", "u", []string{"svr-form"}},
	{"u:x:19000:0:99999:7::", "", []string{"field-count"}},
	{"u:x:1:2:3:4:5:", "", []string{"field-count"}},
	{"u:x:1:2:3:4:5:6", "u", []string{"flag-missing"}},
	{"u:x:1:2:3:4:5:6:", "u", nil},
	{"u:x:1:2:3:4:5:6:7:", "", []string{"field-count"}},
	{"u:x:1:2:3:4:5:6:7:8", "", []string{"field-count"}},
	{"u:x:1:2:3:4", "", []string{"field-count"}},
	{"u:x:1:2:3:4:5", "", []string{"field-count"}},
	{"u:x:1:2", "", []string{"field-count"}},
	{"u:x", "", []string{"field-count"}},
	{"u", "", []string{"field-count"}},
	{"u:x:-1::::::", "", []string{"number"}},
	{"u:x:-0::::::", "u", []string{"number-form"}},
	{"u:x:+5::::::", "u", []string{"number-form"}},
	{"u:x: 5::::::", "u", []string{"number-form"}},
	{"u:x:\t5::::::", "u", []string{"number-form"}},
	{"u:x:5 ::::::", "", []string{"number"}},
	{"u:x: ::::::", "", []string{"number"}},
	{"u:x:+::::::", "", []string{"number"}},
	{"u:x:- 1::::::", "", []string{"number"}},
	{"u:x:0x10::::::", "", []string{"number"}},
	{"u:x:abc::::::", "", []string{"number"}},
	{"u:x:01000::::::", "u", nil},
	{"u:x:2147483648::::::", "u", nil},
	{"u:x:4294967295::::::", "u", nil},
	{"u:x:4294967296::::::", "", []string{"number"}},
	{"u:x:18446744073709551616::::::", "", []string{"number"}},
	{"u:x:99999999999999999999::::::", "", []string{"number"}},
	{"u:x:-18446744073709551615::::::", "u", []string{"number-form"}},
	{"u:x:1:2:3: 5:::", "u", []string{"number-form"}},
	{"u:x:1:2:3: :::", "u", []string{"number-form"}},
	{"u:x:1:2:: ::::", "", []string{"field-count"}},
	{"u:x:1:2: :4:5:6:7", "", []string{"number"}},
	{"u:x:1:2:3:4:5:6:-1", "", []string{"number"}},
	{"u:x:1:2:3:4:5:6:7 ", "", []string{"number"}},
	{"u:x:1:2:3:4:5:6:0\r", "", []string{"crlf"}},
	{"u:x:::::::\r", "", []string{"crlf"}},
	{"u:x:1:2:3\r", "", []string{"crlf"}},
	{"u:x:1:2:3:\r", "u", []string{"crlf", "svr-form"}},
	{"  u:x:1:2:3:4:5:6:7", "u", []string{"leading-space"}},
	{"\x0bu:x:1:2:3:4:5:6:7", "u", []string{"leading-space"}},
	{"u :x:1:2:3:4:5:6:7", "u ", nil},
	{"J\xf6rg:x:::::::", "J\xf6rg", nil},
	{"#u:x:1:2:3:4:5:6:7", "", nil},
	{"  # note", "", nil},
	{"", "", nil},
	{" \t", "", nil},
	{"\r", "", nil},
}

// notOurs are names that libc gives out and that are no accounts to us.
var notOurs = []struct {
	line string
	want []string
}{
	{"+", []string{"nis"}},
	{"+:::::::: ", []string{"nis"}},
	{"+u:x:1:2:3:4:5:6:7", []string{"nis"}},
	{"-u", []string{"nis"}},
	{"-@ng", []string{"nis"}},
	{":x:1:2:3:4:5:6:7", []string{"no-name"}},
	{"u:a\x00b:1:2:3:4:5:6:7", []string{"nul"}},
	{"\x00", []string{"nul"}},
}

func TestParse(t *testing.T) {
	check := func(line, name string, want []string) {
		src := []byte(line + "\n")
		f := shadow.Parse("etc/shadow", src)
		require.Equal(t, string(src), string(f.Bytes()))
		require.Equal(t, append([]string{}, want...), problemKinds(f.Problems()), "%q", line)
		var names []string
		for e := range f.All() {
			names = append(names, e.Name)
		}
		if name == "" {
			require.Empty(t, names, "%q", line)
			return
		}
		require.Equal(t, []string{name}, names, "%q", line)
		_, ok := f.Lookup(name)
		require.True(t, ok, "%q", line)
	}
	for _, c := range shadowLines {
		check(c.line, c.name, c.want)
	}
	for _, c := range notOurs {
		check(c.line, "", c.want)
	}
}

func TestEmptyIsNotZero(t *testing.T) {
	f := shadow.Parse("etc/shadow", []byte("zero:x:0:0:0:0:0:0:0\nempty:x:::::::\nodd:x:01000:+7:4294967295:2147483648: 3::\n"))
	zero, _ := f.Lookup("zero")
	n, set := zero.Expire.Value()
	require.True(t, set)
	require.Zero(t, n)
	empty, _ := f.Lookup("empty")
	_, set = empty.Expire.Value()
	require.False(t, set)
	odd, _ := f.Lookup("odd")
	for i, c := range []struct {
		n    shadow.Number
		want int64
		set  bool
	}{{odd.LastChange, 1000, true}, {odd.Min, 7, true}, {odd.Max, 0, false}, {odd.Warn, -2147483648, true}, {odd.Inactive, 3, true}, {odd.Expire, 0, false}} {
		n, set := c.n.Value()
		require.Equal(t, c.set, set, "case %d", i)
		require.Equal(t, c.want, n, "case %d", i)
	}
	require.Equal(t, shadow.Number("01000"), odd.LastChange)
}

func TestDuplicates(t *testing.T) {
	f := shadow.Parse("etc/shadow", []byte("a:one:1:2\na:two:::::::\na:three:::::::\nb:x:::::::\n"))
	e, ok := f.Lookup("a")
	require.True(t, ok)
	require.True(t, e.Hash == shadow.NewSecret("two"), "the first readable line counts")
	require.Equal(t, []string{"field-count", "duplicate-name"}, problemKinds(f.Problems()))
	require.Equal(t, "etc/shadow:3", f.Problems()[1].At())
	require.NoError(t, f.Remove("a"))
	e, _ = f.Lookup("a")
	require.True(t, e.Hash == shadow.NewSecret("three"), "then the next one")
	require.Equal(t, "a:one:1:2\na:three:::::::\nb:x:::::::\n", string(f.Bytes()))
}

func TestNoFinalNewline(t *testing.T) {
	f := shadow.Parse("etc/shadow", []byte("a:x:::::::"))
	require.Equal(t, "a:x:::::::", string(f.Bytes()))
	require.Equal(t, []string{"no-newline"}, problemKinds(f.Problems()))
	require.NotNil(t, shadow.Parse("etc/shadow", nil).Bytes(), "an empty file is not an absent one")
}

func TestLongLines(t *testing.T) {
	long := "g:!::" + strings.Repeat("member12,", 30000) + "last\n"
	g := shadow.ParseGroup("etc/gshadow", []byte(long))
	e, ok := g.Lookup("g")
	require.True(t, ok)
	require.Len(t, e.Members, 30001)
	e.Members = append(e.Members, "more")
	require.NoError(t, g.Set(e))
	require.Equal(t, strings.TrimSuffix(long, "\n")+",more\n", string(g.Bytes()))

	src := "u:" + strings.Repeat("x", 40000) + ":::::::\nv:x:::::::\n"
	f := shadow.Parse("etc/shadow", []byte(src))
	require.Equal(t, []string{"too-long"}, problemKinds(f.Problems()))
	require.NoError(t, f.Set(shadow.Entry{Name: "v", Hash: shadow.NewSecret("!")}))
	require.True(t, bytes.HasPrefix(f.Bytes(), []byte(src[:40000])))
	u, _ := f.Lookup("u")
	u.Expire = "1"
	require.ErrorIs(t, f.Set(u), shadow.ErrTooLong)
}

var gshadowLines = []struct {
	line    string
	name    string
	admins  []string
	members []string
	want    []string
}{
	{"g", "g", nil, nil, []string{"field-count"}},
	{"g:", "g", nil, nil, []string{"field-count"}},
	{"g:!", "g", nil, nil, []string{"field-count"}},
	{"g:!:a", "g", []string{"a"}, nil, []string{"field-count"}},
	{"g:!::", "g", nil, nil, nil},
	{"g:::", "g", nil, nil, nil},
	{"g:$6$x:a,b:c,d", "g", []string{"a", "b"}, []string{"c", "d"}, nil},
	{"g::a: b , c,,d,", "g", []string{"a"}, []string{"b ", "c", "d"}, nil},
	{"g:!:,:,", "g", nil, nil, nil},
	{" g:!: a, b:x", "g", []string{"a", "b"}, []string{"x"}, []string{"leading-space"}},
	{"#g:!::", "", nil, nil, nil},
	{"", "", nil, nil, nil},
}

func TestParseGroup(t *testing.T) {
	for _, c := range gshadowLines {
		src := c.line + "\n"
		f := shadow.ParseGroup("etc/gshadow", []byte(src))
		require.Equal(t, src, string(f.Bytes()))
		require.Equal(t, append([]string{}, c.want...), problemKinds(f.Problems()), "%q", c.line)
		g, ok := f.Lookup(c.name)
		require.Equal(t, c.name != "", ok, "%q", c.line)
		require.Equal(t, c.admins, g.Admins, "%q", c.line)
		require.Equal(t, c.members, g.Members, "%q", c.line)
	}
	f := shadow.ParseGroup("etc/gshadow", []byte("g:!:a:b:c\nh:!::u\r\n:!::\n+:::\n"))
	require.Equal(t, []string{"field-count", "crlf", "no-name", "nis"}, problemKinds(f.Problems()))
	_, ok := f.Lookup("g")
	require.False(t, ok, "five fields are not a line to edit")
	require.ErrorIs(t, f.Set(shadow.Group{Name: "g"}), shadow.ErrMalformed)
	require.ErrorIs(t, f.Add(shadow.Group{Name: "g"}), shadow.ErrMalformed)
	h, _ := f.Lookup("h")
	require.Equal(t, []string{"u"}, h.Members)
}

// libc prints, as JSON, what fgetspent or fgetsgent read from each file named on stdin.
const libc = `
import ctypes, json, sys
c = ctypes.CDLL(None)
P = ctypes.c_char_p
class Sp(ctypes.Structure):
    _fields_ = [("n", P), ("p", P)] + [(x, ctypes.c_long) for x in ("lst", "min", "max", "warn", "inact", "exp")] + [("flag", ctypes.c_ulong)]
class Sg(ctypes.Structure):
    _fields_ = [("n", P), ("p", P), ("a", ctypes.POINTER(P)), ("m", ctypes.POINTER(P))]
c.fopen.restype = ctypes.c_void_p
c.fgetspent.restype = ctypes.POINTER(Sp); c.fgetspent.argtypes = [ctypes.c_void_p]
c.fgetsgent.restype = ctypes.POINTER(Sg); c.fgetsgent.argtypes = [ctypes.c_void_p]
def lst(p):
    out = []
    while p and p[len(out)] is not None: out.append(p[len(out)].decode("latin1"))
    return out
for line in sys.stdin:
    path = line.rstrip("\n")
    f = c.fopen(path.encode(), b"r")
    if sys.argv[1] == "sp":
        r = c.fgetspent(f)
        out = r and [r.contents.n.decode("latin1")] + [str(v) for v in (r.contents.lst, r.contents.min, r.contents.max, r.contents.warn, r.contents.inact, r.contents.exp)]
    else:
        r = c.fgetsgent(f)
        out = r and [r.contents.n.decode("latin1"), ",".join(lst(r.contents.a)), ",".join(lst(r.contents.m))]
    print(json.dumps(out or []))
`

// ask gives what libc reads from each line.
func ask(t *testing.T, what string, lines []string) [][]string {
	dir := t.TempDir()
	var in strings.Builder
	for i, l := range lines {
		path := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(path, []byte(l+"\n"), 0o600))
		fmt.Fprintln(&in, path)
	}
	out, code := run(t, in.String(), "python3", "-c", libc, what)
	require.Zero(t, code, out)
	var got [][]string
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		var fields []string
		require.NoError(t, json.Unmarshal([]byte(l), &fields), l)
		got = append(got, fields)
	}
	return got
}

func latin1(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func TestParseAgainstLibc(t *testing.T) {
	var lines []string
	for _, c := range shadowLines {
		lines = append(lines, c.line)
	}
	for i, got := range ask(t, "sp", lines) {
		want := []string{}
		if name := shadowLines[i].name; name != "" {
			e, _ := shadow.Parse("f", []byte(lines[i]+"\n")).Lookup(name)
			want = append(want, latin1(name))
			for _, n := range []shadow.Number{e.LastChange, e.Min, e.Max, e.Warn, e.Inactive, e.Expire} {
				v, set := n.Value()
				if !set {
					v = -1
				}
				want = append(want, fmt.Sprint(v))
			}
		}
		require.Equal(t, want, got, "%q", lines[i])
	}
}

func TestParseGroupAgainstLibc(t *testing.T) {
	var lines []string
	for _, c := range gshadowLines {
		lines = append(lines, c.line)
	}
	for i, got := range ask(t, "sg", lines) {
		c := gshadowLines[i]
		want := []string{}
		if c.name != "" {
			want = []string{c.name, strings.Join(c.admins, ","), strings.Join(c.members, ",")}
		}
		require.Equal(t, want, got, "%q", c.line)
	}
}
