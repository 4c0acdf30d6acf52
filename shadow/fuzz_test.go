package shadow_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

func seedFiles(f *testing.F) {
	for _, c := range shadowLines {
		f.Add([]byte(c.line+"\n"), "u")
		f.Add([]byte("a:h:1::::::\n"+c.line+"\r\nu:z:::::::"), "u")
	}
	for _, c := range notOurs {
		f.Add([]byte("a:h:1::::::\n"+c.line), "a")
	}
	for _, c := range gshadowLines {
		f.Add([]byte(c.line+"\n"), "g")
	}
	f.Add([]byte(scene.shadow), "root")
	f.Add([]byte(scene.gshadow), "sudo")
}

// others gives the lines that are in a and not in b, and the other way round, as if sorted.
func changedLines(a, b []byte) (gone, come int) {
	count := map[string]int{}
	for _, l := range bytes.SplitAfter(a, []byte("\n")) {
		count[string(l)]++
	}
	for _, l := range bytes.SplitAfter(b, []byte("\n")) {
		count[string(l)]--
	}
	for _, n := range count {
		gone, come = gone+max(n, 0), come+max(-n, 0)
	}
	return gone, come
}

func FuzzShadow(f *testing.F) {
	seedFiles(f)
	f.Fuzz(func(t *testing.T, src []byte, name string) {
		file := shadow.Parse("f", src)
		require.True(t, bytes.Equal(src, file.Bytes()), "identity")
		entries := slices.Collect(file.All())
		nul := bytes.IndexByte(src, 0) >= 0
		for _, e := range entries {
			got, ok := file.Lookup(e.Name)
			require.True(t, ok && got == e, "lookup gives what All gives")
			if err := file.Set(e); !nul {
				require.NoError(t, err, "no-op edit")
			}
		}
		require.True(t, bytes.Equal(src, file.Bytes()), "a no-op edit changes no byte")
		if nul {
			require.ErrorIs(t, file.Add(shadow.Entry{Name: "fresh"}), shadow.ErrNUL)
			return
		}
		if len(entries) > 0 {
			e := entries[len(entries)/2]
			e.Hash, e.Expire = shadow.NewSecret("!put"), "12"
			if err := file.Set(e); err == nil {
				again := shadow.Parse("f", file.Bytes())
				got, ok := again.Lookup(e.Name)
				require.True(t, ok && got == e, "put-get")
				gone, come := changedLines(src, file.Bytes())
				require.LessOrEqual(t, gone, 1, "locality")
				require.LessOrEqual(t, come, 1, "locality")
				require.Equal(t, len(entries), len(slices.Collect(again.All())))
			}
		}
		before := file.Bytes()
		e := shadow.Entry{Name: name, Hash: shadow.NewSecret("h"), Max: "90"}
		if err := file.Add(e); err != nil {
			require.True(t, bytes.Equal(before, file.Bytes()), "a refused edit changes nothing")
			return
		}
		got, ok := shadow.Parse("f", file.Bytes()).Lookup(name)
		require.True(t, ok && got == e, "added")
		require.NoError(t, file.Remove(name))
		require.True(t, bytes.Equal(bytes.TrimSuffix(before, []byte("\n")), bytes.TrimSuffix(file.Bytes(), []byte("\n"))), "removed")
	})
}

func FuzzGroup(f *testing.F) {
	seedFiles(f)
	f.Fuzz(func(t *testing.T, src []byte, name string) {
		file := shadow.ParseGroup("f", src)
		require.True(t, bytes.Equal(src, file.Bytes()), "identity")
		groups := slices.Collect(file.All())
		if bytes.IndexByte(src, 0) >= 0 {
			require.ErrorIs(t, file.Add(shadow.Group{Name: "fresh"}), shadow.ErrNUL)
			return
		}
		for _, g := range groups {
			require.NoError(t, file.Set(g))
		}
		require.True(t, bytes.Equal(src, file.Bytes()), "a no-op edit changes no byte")
		if len(groups) > 0 {
			g := groups[len(groups)/2]
			g.Members = append(slices.Clone(g.Members), name)
			if err := file.Set(g); err != nil {
				require.True(t, bytes.Equal(src, file.Bytes()))
				return
			}
			got, ok := shadow.ParseGroup("f", file.Bytes()).Lookup(g.Name)
			require.True(t, ok)
			require.Equal(t, g.Members, got.Members, "put-get")
			require.Equal(t, len(g.Admins), len(got.Admins))
			gone, come := changedLines(src, file.Bytes())
			require.LessOrEqual(t, gone, 1, "locality")
			require.LessOrEqual(t, come, 1, "locality")
		}
		if file.Add(shadow.Group{Name: name}) == nil {
			_, ok := shadow.ParseGroup("f", file.Bytes()).Lookup(name)
			require.True(t, ok, "added")
		}
	})
}

// costly are good hashes that take more than a few milliseconds.
var costly = regexp.MustCompile(`^\$[56]\$rounds=\d{5}|^\$2.\$(0[6-9]|[123])|^\$y\$j[7-9A-Za-z]`)

func FuzzVerify(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash, v.password)
		f.Add(v.hash[:len(v.hash)-1], v.password)
	}
	for _, c := range canaries {
		f.Add(c, "CANARY")
	}
	f.Fuzz(func(t *testing.T, hash, password string) {
		if costly.MatchString(hash) {
			hash = hash[:len(hash)-1] // is parsed, and refused
		}
		ok, err := shadow.Verify(hash, password)
		require.False(t, ok && err != nil)
		if err != nil && len(hash) > 8 {
			require.False(t, strings.Contains(err.Error(), hash), "the error quotes the hash")
		}
		s := shadow.NewSecret(hash)
		require.True(t, s.Reveal() == hash)
		require.False(t, ok && (s.Locked() || hash == ""))
		if u, err := s.Unlock(); err == nil {
			require.False(t, u.Locked() || s.Locked() && u.Reveal() == "")
		}
		require.True(t, s.Lock().Locked())
	})
}

func FuzzMerge(f *testing.F) {
	f.Add(scene.oldShadow, scene.oldGshadow, scene.shadow, scene.gshadow, md5Hash)
	for i, c := range shadowLines {
		f.Add(c.line+"\n", gshadowLines[i%len(gshadowLines)].line, shadowLines[len(shadowLines)-1-i].line, "g:!:a:b", "x")
	}
	f.Fuzz(func(t *testing.T, oldS, oldG, newS, newG, passwd string) {
		old, target := host(oldS, oldG), host(newS, newG)
		opt := &shadow.Options{Password: func(string) string { return passwd }, Members: map[string][]string{"g": {"u"}, "x": {"alice"}}, Groups: users("g", "dev=d")}
		for e := range old.Shadow.All() {
			opt.Users = append(opt.Users, shadow.Rename{From: e.Name, To: e.Name})
		}
		opt.Users = append(opt.Users, users("nobody=n")...)
		plan := shadow.Merge(old, target, opt)
		again := shadow.Merge(old, target, opt)
		require.True(t, plan.String() == again.String(), "deterministic")
		require.True(t, string(target.Shadow.Bytes()) == newS && string(target.Group.Bytes()) == newG, "pure")
		if len(plan.Conflicts) > 0 {
			require.Empty(t, plan.Changed)
			requireRefused(t, plan)
			return
		}
		got := apply(t, target, plan)
		for e := range target.Shadow.All() {
			now, ok := got.Shadow.Lookup(e.Name)
			require.True(t, ok && now == e, "the target's entries stand")
		}
		for _, u := range opt.Users {
			_, ok := got.Shadow.Lookup(u.To)
			require.True(t, ok, "every user has an entry")
		}
		for g := range target.Group.All() {
			_, ok := got.Group.Lookup(g.Name)
			require.True(t, ok, "the target's groups stand")
		}
		require.Empty(t, shadow.Merge(old, got, opt).Changed, "idempotent")
	})
}
