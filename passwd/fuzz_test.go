package passwd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/lines"
	"github.com/stretchr/testify/require"
)

// FuzzParse holds the laws of passwd: identity, an edit that changes nothing, put and get, locality.
func FuzzParse(f *testing.F) {
	for _, c := range parseCases {
		f.Add([]byte(c.src), "alice", uint32(1000), "g", "/h", "/s")
	}
	f.Add([]byte(newSystem), "root", uint32(0), "a:b", "", "\r")
	f.Fuzz(func(t *testing.T, src []byte, name string, id uint32, gecos, home, shell string) {
		file := Parse("p", src)
		require.Equal(t, string(src), string(file.Bytes()))
		u := User{name, id, id, gecos, home, shell}
		err := file.Add(u)
		if err == nil {
			requireOneMore(t, src, file.Bytes())
			requireGet(t, file, u)
		} else {
			require.Equal(t, string(src), string(file.Bytes()), "a refused edit changes nothing")
		}
		for old := range Parse("p", src).Users() {
			edited := Parse("p", src)
			if first, _ := edited.Lookup(old.Name); first != *old {
				continue
			}
			if edited.Set(*old) == nil {
				require.Equal(t, string(src), string(edited.Bytes()))
			}
			u := User{old.Name, id, id, gecos, home, shell}
			if edited.Set(u) == nil {
				requireOneChanged(t, src, edited.Bytes())
				requireGet(t, edited, u)
			}
			if edited.Remove(old.Name) == nil {
				requireSame(t, edited, Parse("p", edited.Bytes()))
			}
		}
	})
}

func requireGet(t *testing.T, f *File, u User) {
	again := Parse("p", f.Bytes())
	got, ok := again.Lookup(u.Name)
	require.True(t, ok)
	require.Equal(t, u, got)
	requireSame(t, f, again)
}

// texts are the lines without the newline that an edit may add to the last one.
func texts(src []byte) []string {
	var out []string
	for _, l := range lines.Split(src) {
		s := string(l.Text)
		if len(l.EOL) == 2 {
			s += "\r" // as a last line without newline has it in its text
		}
		out = append(out, s)
	}
	return out
}

func requireOneMore(t *testing.T, before, after []byte) {
	a, b := texts(before), texts(after)
	require.Len(t, b, len(a)+1)
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	require.True(t, slices.Equal(a[i:], b[i+1:]), "%q %q", a, b)
}

func requireOneChanged(t *testing.T, before, after []byte) {
	a, b := texts(before), texts(after)
	require.Len(t, b, len(a))
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	require.LessOrEqual(t, n, 1)
}

// FuzzGroup holds the laws of group.
func FuzzGroup(f *testing.F) {
	for _, c := range groupCases {
		f.Add([]byte(c.src), "g", uint32(5), "u")
	}
	f.Fuzz(func(t *testing.T, src []byte, name string, gid uint32, member string) {
		file := ParseGroup("g", src)
		require.Equal(t, string(src), string(file.Bytes()))
		if added, err := file.AddMember(name, member); err == nil && len(added) > 0 {
			requireOneChanged(t, src, file.Bytes())
			g, ok := ParseGroup("g", file.Bytes()).Lookup(name)
			require.True(t, ok)
			require.Equal(t, member, g.Members[len(g.Members)-1])
			require.NoError(t, (&Plan{}).checkEdit("etc/group", src, file.Bytes()))
		}
		file = ParseGroup("g", src)
		g := Group{name, gid, []string{member}}
		if file.Add(g) == nil {
			requireOneMore(t, src, file.Bytes())
			got, ok := ParseGroup("g", file.Bytes()).Lookup(name)
			require.True(t, ok)
			require.Equal(t, g, got)
		}
		file = ParseGroup("g", src)
		if file.Set(g) == nil {
			got, _ := ParseGroup("g", file.Bytes()).Lookup(name)
			require.Equal(t, g, got)
		}
	})
}

// FuzzSmall parses the lesser files.
func FuzzSmall(f *testing.F) {
	f.Add([]byte(oldDefs))
	f.Add([]byte("alice:100000:65536\n1000:165536:65536\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s := ParseSubID("s", src)
		require.Equal(t, string(src), string(s.Bytes()))
		for r := range s.Ranges() {
			require.LessOrEqual(t, r.end(), uint64(1<<32))
		}
		d := ParseDefs("d", src)
		r := d.people("UID_MIN", "UID_MAX", 1000, false, func(_, _, _ string) {})
		require.LessOrEqual(t, r.min, r.max)
		for _, shell := range ParseShells(src) {
			require.True(t, strings.HasPrefix(shell, "/"))
		}
	})
}

// FuzzMerge merges any two hosts: it does not panic, what it writes re-parses, gives no id twice and loses no line,
// and a second merge that knows the ids of the first, or only the people, has nothing to do and gives the same maps.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(oldSystem+"alice:x:500:500::/home/alice:/bin/sh\n"), []byte(oldGroups+"alice:x:500:\nteam:x:600:alice,bob\n"), []byte(newSystem), []byte(newGroups), uint8(0))
	f.Add([]byte("a:x:500:500::/a:\nb:x:500:501:::\nA:x:1000:500:::\n"), []byte("a:x:500:\nb:x:501:a\n"), []byte("a:x:1000:1000:::\n+:::::\n"), []byte("a:x:1000:b\n"), uint8(2))
	for _, c := range parseCases {
		f.Add([]byte(c.src), []byte("a:x:1000:\n"), []byte(newSystem), []byte(newGroups), uint8(1))
	}
	f.Fuzz(func(t *testing.T, op, og, np, ng []byte, how uint8) {
		requireMergeLaws(t, hostOf(string(op), string(og), oldDefs), hostOf(string(np), string(ng), newDefs), []Strategy{Stop, Keep, Rename}[how%3])
	})
}

// requireMergeLaws requires what FuzzMerge says, and tells whether there was no conflict.
func requireMergeLaws(t *testing.T, old, new *Host, how Strategy) bool {
	p := Merge(old, new, &Options{OnConflict: how})
	require.NotEmpty(t, p.String())
	if len(p.Conflicts) > 0 {
		return false
	}
	requireSound(t, p)
	after := result(new, p)
	requireNoIDTwice(t, new, p)
	came := map[string]string{}
	known := &Options{OnConflict: how, UIDs: map[string]uint32{}, GIDs: map[string]uint32{}}
	for u := range p.Migrated() {
		known.UIDs[u.Name], came[u.Name] = u.ToUID, u.To
	}
	for _, g := range p.Groups {
		known.GIDs[g.Name] = g.ToGID
	}
	// Without records the passwords prove who it is.
	proof := &Options{OnConflict: how, SamePerson: func(o, n string) bool { return came[o] == n }}
	for what, opt := range map[string]*Options{"by record": known, "by proof": proof} {
		again := Merge(old, after, opt)
		require.Empty(t, again.Changed, "%s: %v", what, again.Conflicts)
		require.Empty(t, again.Conflicts, what)
		require.Equal(t, p.UIDMap, again.UIDMap, what)
		require.Equal(t, p.GIDMap, again.GIDMap, what)
	}
	return true
}

// TestMergeLawsInACrowd holds the same laws for hosts whose few names and ids meet as often as they can.
func TestMergeLawsInACrowd(t *testing.T) {
	names, homes := []string{"a", "b", "a-2", "A", "b-2"}, []string{"", "/h/a", "/h/b", "/h/c"}
	uids, gids := []int{500, 501, 700, 1000, 1001, 1002}, []int{0, 500, 501, 502, 700, 1000, 1001, 1002}
	host := func(r *rand.Rand, defs string) *Host {
		var p, g strings.Builder
		for range r.IntN(5) {
			fmt.Fprintf(&p, "%s:x:%d:%d::%s:/s%s\n", pick(r, names), pick(r, uids), pick(r, gids), pick(r, homes), pick(r, []string{"", "", "", "", ":x"}))
		}
		for range r.IntN(6) {
			members := make([]string, r.IntN(3))
			for i := range members {
				members[i] = pick(r, names)
			}
			fmt.Fprintf(&g, "%s:x:%d:%s\n", pick(r, append(names, "wheel", "sudo")), pick(r, gids), strings.Join(members, ","))
		}
		return hostOf(p.String(), g.String(), defs)
	}
	const rounds = uint64(10_000)
	settled := 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 1))
		old, new, how := host(r, oldDefs), host(r, newDefs), pick(r, []Strategy{Stop, Keep, Rename})
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d, %s\n-- old\n%s--\n%s-- new\n%s--\n%s", seed, how, old.Passwd.Bytes(), old.Group.Bytes(), new.Passwd.Bytes(), new.Group.Bytes())
				}
			}()
			if requireMergeLaws(t, old, new, how) {
				settled++
			}
		}()
	}
	require.Greater(t, settled, int(rounds/10), "merges without conflict")
}

func pick[E any](r *rand.Rand, from []E) E { return from[r.IntN(len(from))] }

func requireNoIDTwice(t *testing.T, new *Host, p *Plan) {
	for u := range p.Migrated() {
		if u.Action == ActionPresent {
			continue
		}
		require.Zero(t, new.Passwd.nul)
		if other, there := new.Passwd.LookupID(u.ToUID); there {
			alias := false
			for v := range p.Migrated() {
				alias = alias || v.Action == ActionPresent && v.FromUID == u.FromUID && v.ToUID == u.ToUID
			}
			require.True(t, alias, "uid %d is that of %q", u.ToUID, other.Name)
		}
		require.Equal(t, u.ToUID, p.UIDMap[u.FromUID])
		require.Equal(t, u.ToGID, p.GIDMap[u.FromGID])
	}
	from := map[uint32]uint32{}
	for _, g := range p.Groups {
		if !g.Added() {
			continue
		}
		require.False(t, new.gidUsed(g.ToGID), "gid %d", g.ToGID)
		first, given := from[g.ToGID]
		require.True(t, !given || first == g.FromGID, "gid %d for %d and %d", g.ToGID, first, g.FromGID)
		from[g.ToGID] = g.FromGID
	}
}

// gidUsed tells whether anything of the host bears a gid.
func (h *Host) gidUsed(gid uint32) bool {
	_, used := h.Group.LookupID(gid)
	for u := range h.Passwd.Users() {
		used = used || u.GID == gid
	}
	return used
}
