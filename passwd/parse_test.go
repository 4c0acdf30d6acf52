package passwd

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseCases are passwd files, what their lines are, and the problems in them. They seed the fuzzers too.
var parseCases = []struct {
	name, src string
	kinds     string // one letter a line: Entry, Blank, Comment, NIS, Visible, Invisible as ebcnvi
	users     []User
	problems  []string // "severity kind position"
}{
	{"no newline at the end", "a:x:1000:1000:g:/h:/s", "e", []User{{"a", 1000, 1000, "g", "/h", "/s"}}, []string{"warning no-newline p:1"}},
	{"empty", "", "", nil, nil},
	{"comments and blanks", "# c\n  # c\n\n \t\na:x:1:2:::\n", "ccbbe", []User{{"a", 1, 2, "", "", ""}}, nil},
	{"a comment of seven fields is no user", "#a:x:1000:1000:c:/h:/s\n", "c", nil, nil},
	{"compat lines are no users", "+\n+::::::\n+@ng::::::\n-bob\n-@ng::::::\n", "nnnnn", nil,
		[]string{"info nis p:1", "info nis p:2", "info nis p:3", "info nis p:4", "info nis p:5"}},
	{"leading blank", " a:x:1:1:::\n", "e", []User{{"a", 1, 1, "", "", ""}}, []string{"warning leading-space p:1"}},
	{"crlf", "a:x:1000:1000:g:/h:/s\r\n", "e", []User{{"a", 1000, 1000, "g", "/h", "/s"}}, []string{"error crlf p:1"}},
	{"four to six fields are visible to libc", "a:x:1000:1000\nb:x:1001:1001:g\nc:x:1002:1002:g:/h\n", "vvv", nil,
		[]string{"error field-count p:1", "error field-count p:2", "error field-count p:3"}},
	{"three fields are not", "a:x:1000\n", "i", nil, []string{"error field-count p:1"}},
	{"eight fields are", "a:x:1000:1000:g:/h:/s:extra\n", "v", nil, []string{"error field-count p:1"}},
	{"bad numbers never become 0", "a:x:-1:1:::\na:x:4294967296:1:::\na:x:99999999999999999999:1:::\na:x:0x10:1:::\na:x:5 :1:::\na:x::1:::\na:x:1:abc:::\n", "iiiiiii", nil,
		[]string{"error number p:1", "error number p:2", "error number p:3", "error number p:4", "error number p:5", "error number p:6", "error number p:7"}},
	{"odd numbers", "a:x:+5:1:::\nb:x: 6:1:::\n", "ee", []User{{"a", 5, 1, "", "", ""}, {"b", 6, 1, "", "", ""}},
		[]string{"warning number-form p:1", "warning number-form p:2"}},
	{"leading zeros are decimal", "a:x:01000:01000:::\n", "e", []User{{"a", 1000, 1000, "", "", ""}}, nil},
	{"ids that mean none", "a:x:4294967295:1:::\nb:x:65535:1:::\nnfsnobody:x:4294967294:4294967294:::\n", "eee",
		[]User{{"a", 1<<32 - 1, 1, "", "", ""}, {"b", 65535, 1, "", "", ""}, {"nfsnobody", 1<<32 - 2, 1<<32 - 2, "", "", ""}},
		[]string{"error invalid-id p:1", "error invalid-id p:2"}},
	{"the first of a name counts", "a:x:bad:1:::\na:x:1:1:::\na:x:2:2:::\n", "iee", []User{{"a", 1, 1, "", "", ""}, {"a", 2, 2, "", "", ""}},
		[]string{"error number p:1", "warning duplicate-name p:3"}},
	{"one uid, two names", "a:x:1:1:::\nb:x:1:1:::\n", "ee", []User{{"a", 1, 1, "", "", ""}, {"b", 1, 1, "", "", ""}}, []string{"info duplicate-uid p:2"}},
	{"bytes that are no utf-8", "j:x:1:1:J\xf6rg & \xff,,,,,:/h:/s\n", "e", []User{{"j", 1, 1, "J\xf6rg & \xff,,,,,", "/h", "/s"}}, nil},
	{"nul", "a:x:1:1:g\x00g:/h:/s\n", "v", nil, []string{"error nul p:1"}},
	{"nul before the ids", "a:x\x00:1:1:g:/h:/s\n", "i", nil, []string{"error nul p:1", "error field-count p:1"}},
	{"control byte", "a:x:1:1:g\vh:/h:/s\x7f\n", "e", []User{{"a", 1, 1, "g\vh", "/h", "/s\x7f"}}, []string{"warning control p:1"}},
	{"carriage return before the end of file", "a:x:1:1:::/s\r", "e", []User{{"a", 1, 1, "", "", "/s"}},
		[]string{"error crlf p:1", "warning no-newline p:1"}},
	{"empty name", ":x:1:1:::\n", "e", []User{{"", 1, 1, "", "", ""}}, []string{"error name p:1"}},
}

func kindLetters(ks []Kind) string {
	var b strings.Builder
	for _, k := range ks {
		b.WriteByte("ebcnvi"[k])
	}
	return b.String()
}

func problemList(ps []Problem) []string {
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s %s %s", p.Severity, p.Kind, p.At()))
	}
	return out
}

func TestParse(t *testing.T) {
	for _, c := range parseCases {
		t.Run(c.name, func(t *testing.T) {
			f := Parse("p", []byte(c.src))
			require.Equal(t, c.src, string(f.Bytes()))
			require.Equal(t, c.kinds, kindLetters(f.Kinds()))
			require.Equal(t, c.problems, problemList(f.Problems()))
			var users []User
			for u := range f.Users() {
				users = append(users, *u)
			}
			require.Equal(t, c.users, users)
		})
	}
}

func TestLookupTakesTheFirst(t *testing.T) {
	f := Parse("p", []byte("a:x:1:1:first::\nb:x:1:1:::\na:x:2:2:second::\n"))
	u, ok := f.Lookup("a")
	require.True(t, ok)
	require.Equal(t, "first", u.Gecos)
	u, ok = f.LookupID(1)
	require.True(t, ok)
	require.Equal(t, "a", u.Name)
	_, ok = f.Lookup("c")
	require.False(t, ok)
	_, ok = f.LookupID(0)
	require.False(t, ok, "an absent account is not uid 0")
}

func TestManyReaders(t *testing.T) {
	f := Parse("p", []byte("a:x:1:1:::\nb:x:2:2:::\na:x:2:3:::\n"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			u, ok := f.LookupID(2)
			if !ok || u.Name != "b" || len(f.Problems()) != 2 {
				t.Error(u, f.Problems())
			}
		})
	}
	wg.Wait()
}

func TestProblemIsAPositionedError(t *testing.T) {
	p := Parse("etc/passwd", []byte("root:x:0:0:::\na:x:1:1:::/s:x\n")).Problems()[0]
	require.EqualError(t, p, "etc/passwd:2: 8 fields, want 7: libc sees an account here, shadow-utils does not")
}

func TestParseLongLines(t *testing.T) {
	gecos := strings.Repeat("g", 70<<10)
	f := Parse("p", []byte("a:x:1:1:"+gecos+":/h:/s\nb:x:2:2:::\n"))
	u, _ := f.Lookup("a")
	require.Len(t, u.Gecos, 70<<10)
	require.Equal(t, []string{"warning too-long p:1"}, problemList(f.Problems()))
	u.Shell = "/bin/sh"
	require.ErrorIs(t, f.Set(u), ErrValue)
	require.NoError(t, f.Set(User{"b", 2, 2, "", "/h", ""}))
	require.Equal(t, "a:x:1:1:"+gecos+":/h:/s\nb:x:2:2::/h:\n", string(f.Bytes()))

	list := strings.Repeat("somebody,", 25000)
	g := ParseGroup("g", []byte("a:x:1:"+list+"\n"))
	require.Empty(t, g.Problems())
	grp, _ := g.Lookup("a")
	require.Len(t, grp.Members, 25000)
}

// groupCases are group files; members are those that libc sees, joined by "|".
var groupCases = []struct {
	name, src, kinds, members, appended string
	problems                            []string
}{
	{"plain", "g:x:1:a,b\n", "e", "a|b", "g:x:1:a,b,u\n", nil},
	{"empty item", "g:x:1:a,,b\n", "e", "a|b", "g:x:1:a,,b,u\n", []string{"warning member g:1"}},
	{"leading comma", "g:x:1:,a\n", "e", "a", "g:x:1:,a,u\n", []string{"warning member g:1"}},
	{"trailing comma", "g:x:1:a,\n", "e", "a", "g:x:1:a,u\n", nil},
	{"blanks before count not, after they do", "g:x:1:a, b ,c\n", "e", "a|b |c", "g:x:1:a, b ,c,u\n", nil},
	{"twice the same", "g:x:1:a,a\n", "e", "a|a", "g:x:1:a,a,u\n", nil},
	{"crlf", "g:x:1:a\r\n", "e", "a", "g:x:1:a,u\r\n", []string{"error crlf g:1"}},
	{"no members", "g:x:1:\n", "e", "", "g:x:1:u\n", nil},
	{"three fields", "g:x:1\n", "e", "", "g:x:1:u\n", []string{"info field-count g:1"}},
	{"no newline", "g:x:1:a", "e", "a", "g:x:1:a,u\n", []string{"warning no-newline g:1"}},
	{"cr before the end of file", "g:x:1\r", "e", "", "g:x:1:u\r\n", []string{"info field-count g:1", "error crlf g:1", "warning no-newline g:1"}},
	{"five fields", "g:x:1:a:b\n", "v", "", "", []string{"error field-count g:1"}},
	{"two fields", "g:x\n", "i", "", "", []string{"error field-count g:1"}},
	{"bad gid", "g:x:x:a\n", "i", "", "", []string{"error number g:1"}},
	{"compat", "+:::\n", "n", "", "", []string{"info nis g:1"}},
}

func TestParseGroup(t *testing.T) {
	for _, c := range groupCases {
		t.Run(c.name, func(t *testing.T) {
			f := ParseGroup("g", []byte(c.src))
			require.Equal(t, c.src, string(f.Bytes()))
			require.Equal(t, c.kinds, kindLetters(f.Kinds()))
			require.Equal(t, c.problems, problemList(f.Problems()))
			g, ok := f.Lookup("g")
			require.Equal(t, c.kinds == "e", ok)
			require.Equal(t, c.members, strings.Join(g.Members, "|"))
			added, err := f.AddMember("g", "u")
			if c.kinds != "e" {
				require.Error(t, err)
				require.Equal(t, c.src, string(f.Bytes()))
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{"u"}, added)
			require.Equal(t, c.appended, string(f.Bytes()))
			added, err = f.AddMember("g", "u", "u")
			require.NoError(t, err)
			require.Empty(t, added)
			require.Equal(t, c.appended, string(f.Bytes()))
		})
	}
}

func TestDefs(t *testing.T) {
	d := ParseDefs("etc/login.defs", []byte("# c\n\nUID_MIN\t\t 500\nUID_MAX 0xEA60 \r\nGID_MIN 0764\nUID_MIN 1000\nUMASK \"022\"\nBARE\nODD 1_000\nBIN 0b11\nNEG -1\n"))
	for key, want := range map[string]uint32{"UID_MIN": 1000, "UID_MAX": 60000, "GID_MIN": 500, "UMASK": 18} {
		n, ok := d.Number(key)
		require.True(t, ok, key)
		require.Equal(t, want, n, key)
	}
	for _, key := range []string{"BARE", "ODD", "BIN", "NEG", "ABSENT"} {
		_, ok := d.Number(key)
		require.False(t, ok, key)
	}
	require.Equal(t, []string{"warning value etc/login.defs:8"}, problemList(d.Problems()))
	_, ok := (*Defs)(nil).Lookup("UID_MIN")
	require.False(t, ok)
}

func TestShells(t *testing.T) {
	require.Equal(t, []string{"/bin/sh", "/bin/bash"}, ParseShells([]byte("# /etc/shells\n/bin/sh\n  /bin/bash # best\nnone\n\n")))
}

func TestSubID(t *testing.T) {
	src := "alice:100000:65536\n1001:165536:65536\nbad:1\nworse:x:1\nend:4294967295:2\n"
	f := ParseSubID("etc/subuid", []byte(src))
	require.Equal(t, src, string(f.Bytes()))
	require.Equal(t, "eeiii", kindLetters(f.Kinds()))
	require.Equal(t, []SubID{{"1001", 165536, 65536}}, f.owned("bob", 1001))
	require.ErrorIs(t, f.Add(SubID{"bob", 165535, 1}), ErrValue)
	require.ErrorIs(t, f.Add(SubID{"bob", 300000, 0}), ErrValue)
	require.ErrorIs(t, f.Add(SubID{"b:b", 300000, 1}), ErrValue)
	require.NoError(t, f.Add(SubID{"bob", 300000, 1}))
	require.Equal(t, src+"bob:300000:1\n", string(f.Bytes()))
	var owners []string
	for s := range f.Ranges() {
		owners = append(owners, s.Owner)
	}
	require.Equal(t, []string{"alice", "1001", "bob"}, owners)
}
