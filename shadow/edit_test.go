package shadow_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

func TestEdit(t *testing.T) {
	lock := func(name string) func(*shadow.File) error {
		return func(f *shadow.File) error {
			e, _ := f.Lookup(name)
			e.Name = name
			e.Hash = e.Hash.Lock()
			return f.Set(e)
		}
	}
	add := func(name string) func(*shadow.File) error {
		return func(f *shadow.File) error {
			return f.Add(shadow.Entry{Name: name, Hash: shadow.NewSecret("h"), LastChange: "14700", Max: "99999"})
		}
	}
	for _, c := range []struct {
		name, in, want string
		edit           func(*shadow.File) error
		err            error
	}{
		{"set keeps odd bytes elsewhere", "# c\n\na:x:01000:::::: \n  b:h:01000:+0:99999:7:::\nc:x", "# c\n\na:x:01000:::::: \n  b:!h:01000:+0:99999:7:::\nc:x", lock("b"), nil},
		{"set expands the old form", "b:h:19000:0:99999\n", "b:!h:19000:0:99999::::\n", lock("b"), nil},
		{"set without change", "b:!h:19000:0:99999\n", "b:!h:19000:0:99999\n", lock("b"), nil},
		{"set on the last line without newline", "a:x:::::::\nb:h:::::::", "a:x:::::::\nb:!h:::::::", lock("b"), nil},
		{"set of a hidden line", "b:h:19000:0:99999:7::\n", "", lock("b"), shadow.ErrMalformed},
		{"set of a CRLF line", "b:h:::::::\r\n", "", lock("b"), shadow.ErrNotFound},
		{"set of nobody", "a:h:::::::\n", "", lock("b"), shadow.ErrNotFound},
		{"add", "a:x:::::::\n", "a:x:::::::\nb:h:14700::99999::::\n", add("b"), nil},
		{"add to an empty file", "", "b:h:14700::99999::::\n", add("b"), nil},
		{"add gives the missing newline", "a:x:::::::", "a:x:::::::\nb:h:14700::99999::::\n", add("b"), nil},
		{"add before NIS", "a:x:::::::\n+\n# end", "a:x:::::::\nb:h:14700::99999::::\n+\n# end", add("b"), nil},
		{"add to a CRLF file", "a:x:::::::\r\n", "a:x:::::::\r\nb:h:14700::99999::::\n", add("b"), nil},
		{"add what exists", "b:x:::::::\n", "", add("b"), shadow.ErrExists},
		{"add over a hidden line", "b:x:1:2\n", "", add("b"), shadow.ErrMalformed},
		{"add to a file with NUL", "a:\x00:::::::\n", "", add("b"), shadow.ErrNUL},
		{"add a colon", "", "", add("a:b"), shadow.ErrInvalid},
		{"add a newline", "", "", add("a\nb"), shadow.ErrInvalid},
		{"add a NIS name", "", "", add("+"), shadow.ErrInvalid},
		{"add a comment", "", "", add("#a"), shadow.ErrInvalid},
		{"add no name", "", "", add(""), shadow.ErrInvalid},
		{"add a bad number", "", "", func(f *shadow.File) error { return f.Add(shadow.Entry{Name: "a", Max: "-1"}) }, shadow.ErrInvalid},
		{"add a number beyond", "", "", func(f *shadow.File) error { return f.Add(shadow.Entry{Name: "a", Max: "4294967296"}) }, shadow.ErrInvalid},
		{"add a hash with colon", "", "", func(f *shadow.File) error { return f.Add(shadow.Entry{Name: "a", Hash: shadow.NewSecret("a:b")}) }, shadow.ErrInvalid},
		{"add a hash with newline", "", "", func(f *shadow.File) error { return f.Add(shadow.Entry{Name: "a", Hash: shadow.NewSecret("a\nb")}) }, shadow.ErrInvalid},
		{"add a long hash", "", "", func(f *shadow.File) error {
			return f.Add(shadow.Entry{Name: "a", Hash: shadow.NewSecret(strings.Repeat("x", 32000))})
		}, shadow.ErrTooLong},
		{"remove", "a:x:::::::\n# c\nb:x:::::::\n", "# c\nb:x:::::::\n", func(f *shadow.File) error { return f.Remove("a") }, nil},
		{"remove then add", "a:x:::::::", "b:h:14700::99999::::\n", func(f *shadow.File) error {
			if err := f.Remove("a"); err != nil {
				return err
			}
			return add("b")(f)
		}, nil},
		{"add then remove", "a:x:::::::\n", "a:x:::::::\n", func(f *shadow.File) error {
			if err := add("b")(f); err != nil {
				return err
			}
			return f.Remove("b")
		}, nil},
		{"remove nobody", "a:x:::::::\n", "", func(f *shadow.File) error { return f.Remove("b") }, shadow.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := shadow.Parse("etc/shadow", []byte(c.in))
			err := c.edit(f)
			require.ErrorIs(t, err, c.err)
			if c.err != nil {
				require.Equal(t, c.in, string(f.Bytes()), "a refused edit changes nothing")
				return
			}
			require.Equal(t, c.want, string(f.Bytes()))
		})
	}
}

func TestEditGroup(t *testing.T) {
	join := func(f *shadow.GroupFile) error {
		g, _ := f.Lookup("g")
		g.Name = "g"
		g.Members = append(g.Members, "u")
		return f.Set(g)
	}
	for _, c := range []struct {
		in, want string
		edit     func(*shadow.GroupFile) error
		err      error
	}{
		{"g:!::a,,b\n", "g:!::a,,b,u\n", join, nil},
		{"g:!::a,\n", "g:!::a,u\n", join, nil},
		{"g:!::a, b ,c\n", "g:!::a, b ,c,u\n", join, nil},
		{"g:::\n", "g:::u\n", join, nil},
		{"g\n", "g:::u\n", join, nil},
		{"g:!\n", "g:!::u\n", join, nil},
		{"g:!:x\n", "g:!:x:u\n", join, nil},
		{"g:!::a\r\nh:!::b\r\n", "g:!::a,u\nh:!::b\r\n", join, nil},
		{"g:!:a:b:c\n", "", join, shadow.ErrMalformed},
		{"h:!::\n", "", join, shadow.ErrNotFound},
		{"g:!::a,b,c\n", "g:!::a,c\n", func(f *shadow.GroupFile) error {
			return f.Set(shadow.Group{Name: "g", Hash: shadow.NewSecret("!"), Members: []string{"a", "c"}})
		}, nil},
		{"g:!::a\n", "g:!:z:a\n", func(f *shadow.GroupFile) error {
			return f.Set(shadow.Group{Name: "g", Hash: shadow.NewSecret("!"), Admins: []string{"z"}, Members: []string{"a"}})
		}, nil},
		{"g:!::a\n", "", func(f *shadow.GroupFile) error { return f.Set(shadow.Group{Name: "g", Members: []string{"a,b"}}) }, shadow.ErrInvalid},
		{"g:!::a\n", "", func(f *shadow.GroupFile) error { return f.Set(shadow.Group{Name: "g", Hash: shadow.NewSecret(":")}) }, shadow.ErrInvalid},
		{"g:!::a\n", "g:!::a\nn:::\n", func(f *shadow.GroupFile) error { return f.Add(shadow.Group{Name: "n"}) }, nil},
		{"g:!::a\n", "", func(f *shadow.GroupFile) error { return f.Remove("g") }, nil},
	} {
		f := shadow.ParseGroup("etc/gshadow", []byte(c.in))
		require.ErrorIs(t, c.edit(f), c.err, "%q", c.in)
		if c.err == nil {
			require.Equal(t, c.want, string(f.Bytes()), "%q", c.in)
		}
	}
}

func TestSecretStates(t *testing.T) {
	for _, c := range []struct {
		text, scheme string
		locked       bool
		lock         string
		unlock       string // "" refused
	}{
		{"", "none", false, "!", "-"},
		{"!", "locked", true, "!", ""},
		{"!!", "locked", true, "!!", ""},
		{"*", "locked", true, "*", ""},
		{"!*", "locked", true, "!*", ""},
		{"*LK*", "locked", true, "*LK*", ""},
		{"*NP*", "locked", true, "*NP*", ""},
		{"NP", "locked", true, "NP", ""},
		{"x", "unknown", false, "!x", "x"},
		{"!" + sha512Hash, "sha512crypt", true, "!" + sha512Hash, sha512Hash},
		{"!!" + md5Hash, "md5crypt", true, "!!" + md5Hash, md5Hash},
		{md5Hash, "md5crypt", false, "!" + md5Hash, md5Hash},
	} {
		s := shadow.NewSecret(c.text)
		require.Equal(t, c.scheme, s.Scheme(), "%q", c.text)
		require.Equal(t, c.locked, s.Locked(), "%q", c.text)
		require.True(t, s.Lock().Reveal() == c.lock, "%q", c.text)
		require.True(t, s.Lock().Lock() == s.Lock(), "%q", c.text)
		got, err := s.Unlock()
		if c.unlock == "" {
			require.ErrorIs(t, err, shadow.ErrNoHash, "%q", c.text)
			continue
		}
		require.NoError(t, err, "%q", c.text)
		require.True(t, c.unlock == "-" && got == s || got.Reveal() == c.unlock, "%q", c.text)
		again, err := got.Unlock()
		require.NoError(t, err)
		require.True(t, again == got)
	}
}

func TestSchemes(t *testing.T) {
	for _, c := range []struct {
		text, scheme  string
		xcrypt, glibc bool
	}{
		{"ab9Flz6dLJe7U", "descrypt", true, true},
		{"ab9Flz6dLJe7U,M.z8", "descrypt", true, true},
		{"abIwpV1opXTEoa7pJLPNrr8ENm/sx10lqWY", "bigcrypt", true, false},
		{"_J9..abcdEdWXWSJ8j.A", "bsdicrypt", true, false},
		{md5Hash, "md5crypt", true, true},
		{"$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "bcrypt", true, false},
		{"$2x$05$abcdefghijklmnopqrstuu7Cetl8HYXz5NVjo28itdtbwxuvgl5uG", "bcrypt_x", true, false},
		{"$3$$c3f541baf5c46e5169e95691975d12bc", "nt", true, false},
		{"$5$abcdefghijklmnop$i7zHaTeYqXlesRXJ8dXj6o.MEFQdzfIJpJpcWAtszs6", "sha256crypt", true, true},
		{sha512Hash, "sha512crypt", true, true},
		{"$7$CU..../....abcdefgh$I7pwLS72l4rp2ImL3T.xqnAkA0YR.9EPbAKqtPB0wa6", "scrypt", true, false},
		{"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0", "yescrypt", true, false},
		{"$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$uE5FcoxTz78xZpMZkpTmj/0MogyeNUSLIjdCxpQjz.8", "gost-yescrypt", true, false},
		{"$sha1$40000$abcdefgh$Sc.fNJD3jfxtN2z.2U/wV3cMgWuD", "sha1crypt", true, false},
		{"$md5,rounds=1000$abcdefgh$bIjqVCJlYHOxfaSVFc2ol/", "sunmd5", true, false},
		{"$apr1$abcdefgh$M55TzYaaccxVGbptZWaxX/", "apr1", false, false},
		{"$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA", "argon2", false, false},
		{"{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "unknown", false, false},
		{"plaintext", "unknown", false, false},
	} {
		s := shadow.NewSecret(c.text)
		require.Equal(t, c.scheme, s.Scheme())
		require.Equal(t, c.xcrypt, shadow.Libxcrypt.Supports(c.scheme), c.scheme)
		require.Equal(t, c.glibc, shadow.Glibc.Supports(c.scheme), c.scheme)
		plan := shadow.Merge(host("u:"+c.text+":14700::::::\n", ""), host("r:!:::::::\n", ""), &shadow.Options{Users: users("u")})
		require.Equal(t, []shadow.Hash{{Name: "u", Scheme: c.scheme, Supported: c.xcrypt}}, plan.Hashes)
		require.NotContains(t, kinds(plan.Warnings), "truncated-hash", c.scheme)
		if c.scheme == "descrypt" || c.scheme == "unknown" || c.scheme == "argon2" {
			continue
		}
		plan = shadow.Merge(host("u:"+c.text[:len(c.text)-1]+":14700::::::\n", ""), host("r:!:::::::\n", ""), &shadow.Options{Users: users("u")})
		require.False(t, plan.Hashes[0].Supported, "%s cut off", c.scheme)
	}
}
