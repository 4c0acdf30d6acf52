package passwd

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEdits(t *testing.T) {
	u := User{"u", 1003, 1004, "U", "/home/u", "/bin/sh"}
	line := "u:x:1003:1004:U:/home/u:/bin/sh\n"
	cases := []struct {
		name, in, out string
		edit          func(f *File) error
	}{
		{"add to nothing", "", line, func(f *File) error { return f.Add(u) }},
		{"add behind", "a:x:1:1:::\n# c\n", "a:x:1:1:::\n# c\n" + line, func(f *File) error { return f.Add(u) }},
		{"add completes the last line", "a:x:1:1:::", "a:x:1:1:::\n" + line, func(f *File) error { return f.Add(u) }},
		{"add before the first compat line", "a:x:1:1:::\n+@ng::::::\n-x\nz:x:9:9:::\n", "a:x:1:1:::\n" + line + "+@ng::::::\n-x\nz:x:9:9:::\n", func(f *File) error { return f.Add(u) }},
		{"add two before a compat line", "+\n", line + "v:x:5:5:::\n+\n", func(f *File) error {
			if err := f.Add(u); err != nil {
				return err
			}
			return f.Add(User{"v", 5, 5, "", "", ""})
		}},
		{"an added line has lf", "a:x:1:1:::\r\n", "a:x:1:1:::\r\n" + line, func(f *File) error { return f.Add(u) }},
		{"set keeps what is as before", "u:secret:01003:01004:U:/home/u:/bin/bash\nb\n", "u:secret:01003:01004:U:/home/u:/bin/sh\nb\n", func(f *File) error { return f.Set(u) }},
		{"set ids", "b:x:1:1:::\nu:x:01:01:U:/home/u:/bin/sh\n", "b:x:1:1:::\n" + line, func(f *File) error { return f.Set(u) }},
		{"set keeps crlf and blanks", " u:x:1003:1004:U:/home/u:/bin/bash\r\n", " u:x:1003:1004:U:/home/u:/bin/sh\r\n", func(f *File) error { return f.Set(u) }},
		{"set of the same changes nothing", "u:x:01003:1004:U:/home/u:/bin/sh", "u:x:01003:1004:U:/home/u:/bin/sh", func(f *File) error { return f.Set(u) }},
		{"remove", "a:x:1:1:::\n" + line + "# c\n", "a:x:1:1:::\n# c\n", func(f *File) error { return f.Remove("u") }},
		{"remove takes no namesake", "uu:x:1:1:::\n" + line, "uu:x:1:1:::\n", func(f *File) error { return f.Remove("u") }},
		{"remove the first of two", line + "u:x:9:9:::\n", "u:x:9:9:::\n", func(f *File) error { return f.Remove("u") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := Parse("p", []byte(c.in))
			require.NoError(t, c.edit(f))
			require.Equal(t, c.out, string(f.Bytes()))
			requireSame(t, f, Parse("p", f.Bytes()))
		})
	}
}

// requireSame says that an edited file means what its text means.
func requireSame(t *testing.T, f, again *File) {
	t.Helper()
	require.Equal(t, again.entries, f.entries)
	require.Equal(t, again.at, f.at)
	require.Equal(t, again.byName(), f.byName())
	require.Equal(t, again.byID(), f.byID())
	require.Equal(t, again.nis, f.nis)
	require.Len(t, f.hidden, len(again.hidden))
	for i := range f.hidden {
		require.Equal(t, again.hidden[i], f.hidden[i])
	}
}

func TestRefusedEdits(t *testing.T) {
	ok := User{"u", 1, 1, "", "/h", "/s"}
	with := func(change func(u *User)) User { u := ok; change(&u); return u }
	for name, u := range map[string]User{
		"colon":       with(func(u *User) { u.Gecos = "a:b" }),
		"newline":     with(func(u *User) { u.Home = "/h\nroot::0:0:::" }),
		"control":     with(func(u *User) { u.Shell = "/s\x01" }),
		"cr":          with(func(u *User) { u.Shell = "/s\r" }),
		"empty name":  with(func(u *User) { u.Name = "" }),
		"compat name": with(func(u *User) { u.Name = "+u" }),
		"comment":     with(func(u *User) { u.Name = "#u" }),
		"path":        with(func(u *User) { u.Name = "../u" }),
		"blank":       with(func(u *User) { u.Name = "u v" }),
		"long name":   with(func(u *User) { u.Name = strings.Repeat("u", 256) }),
		"no id":       with(func(u *User) { u.UID = 1<<32 - 1 }),
		"long":        with(func(u *User) { u.Gecos = strings.Repeat("g", 32768) }),
	} {
		f := Parse("p", []byte("root:x:0:0:::\n"))
		require.ErrorIs(t, f.Add(u), ErrValue, name)
		require.Equal(t, "root:x:0:0:::\n", string(f.Bytes()), name)
	}
	f := Parse("etc/passwd", []byte("a:x:1:1:::\nm:x:1:1\n"))
	require.ErrorIs(t, f.Add(User{Name: "a"}), fs.ErrExist)
	require.ErrorIs(t, f.Add(User{Name: "m"}), fs.ErrExist, "libc sees it")
	require.ErrorIs(t, f.Set(User{Name: "x"}), fs.ErrNotExist)
	require.ErrorIs(t, f.Remove("x"), fs.ErrNotExist)
	require.EqualError(t, f.Remove("m"), `etc/passwd:2: line of "m": malformed, not edited`)

	nul := "a:x:1:1:::\nb:x:1:1:\x00::\n"
	f = Parse("etc/passwd", []byte(nul))
	require.EqualError(t, f.Add(ok), "etc/passwd:2: NUL byte: malformed, not edited")
	require.ErrorIs(t, f.Set(User{Name: "a"}), ErrMalformed)
	require.ErrorIs(t, f.Remove("a"), ErrMalformed)
	require.Equal(t, nul, string(f.Bytes()))
}

func TestGroupEdits(t *testing.T) {
	f := ParseGroup("g", []byte("a:x:01:b,,c\nold:x:2\n+:::\n"))
	require.NoError(t, f.Set(Group{"a", 1, []string{"b", "c"}}))
	require.NoError(t, f.Set(Group{"old", 3, nil}))
	require.NoError(t, f.Add(Group{"n", 5, []string{"b"}}))
	require.Equal(t, "a:x:01:b,,c\nold:x:3\nn:x:5:b\n+:::\n", string(f.Bytes()))
	require.NoError(t, f.Set(Group{"a", 1, []string{"c"}}))
	require.NoError(t, f.Set(Group{"old", 3, []string{"b", "d"}}))
	require.NoError(t, f.Remove("n"))
	require.Equal(t, "a:x:01:c\nold:x:3:b,d\n+:::\n", string(f.Bytes()))
	require.ErrorIs(t, f.Add(Group{"a", 9, nil}), fs.ErrExist)
	require.ErrorIs(t, f.Add(Group{"z", 9, []string{"a,b"}}), ErrValue)
	require.ErrorIs(t, f.Add(Group{"z", 1<<32 - 1, nil}), ErrValue)
	_, err := f.AddMember("a", "x:y")
	require.ErrorIs(t, err, ErrValue)
	_, err = f.AddMember("none", "u")
	require.ErrorIs(t, err, fs.ErrNotExist)
	g, ok := f.LookupID(3)
	require.True(t, ok)
	require.Equal(t, "old", g.Name)
}

func TestPasswordField(t *testing.T) {
	f := Parse("p", []byte("a:$1$canary$x:1:1:::\nb::2:2:::\n"))
	require.NotEmpty(t, f.Password("a"))
	require.Empty(t, f.Password("b"))
	require.Empty(t, f.Password("none"))
}
