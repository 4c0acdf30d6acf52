package passwd_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/passwd"
)

// Hostile input, from what glibc, shadow-utils and real migrations were seen to do.

const (
	hostileOldDefs = "UID_MIN 500\nUID_MAX 60000\nGID_MIN 500\nGID_MAX 60000\n"
	hostileNewDefs = "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n"
	hostileTarget  = "root:x:0:0:root:/root:/bin/sh\nman:x:6:12:man:/var/cache/man:/usr/sbin/nologin\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n" +
		"backup:x:34:34:backup:/var/backups:/usr/sbin/nologin\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\nubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/sh\n"
	hostileGroups = "root:x:0:\nman:x:12:\nmail:x:8:\nbackup:x:34:\nsudo:x:27:ubuntu\nusers:x:100:\ngames:x:60:\nubuntu:x:1000:\n"
)

func hostileHost(pw, gr, defs string) *passwd.Host {
	return &passwd.Host{
		Passwd: passwd.Parse("etc/passwd", []byte(pw)), Group: passwd.ParseGroup("etc/group", []byte(gr)),
		Defs: passwd.ParseDefs("etc/login.defs", []byte(defs)), Shadow: true, GShadow: true,
	}
}

func hostileMerge(oldPw, oldGr, newPw, newGr string, opt *passwd.Options) *passwd.Plan {
	return passwd.Merge(hostileHost(oldPw, oldGr, hostileOldDefs), hostileHost(newPw, newGr, hostileNewDefs), opt)
}

func hostileEdits(p *passwd.Plan) map[string]string {
	out := map[string]string{}
	for path, c := range p.Edits() {
		out[path] = string(c[1])
	}
	return out
}

func hostileUser(t *testing.T, p *passwd.Plan, name string) passwd.UserChange {
	t.Helper()
	i := slices.IndexFunc(p.Users, func(u passwd.UserChange) bool { return u.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s is not in the plan", name)
	return p.Users[i]
}

func TestHostileLinesAreNoUsers(t *testing.T) {
	for _, line := range []string{
		"#a:x:0:0:c:/h:/s", " # a:x:0:0:c:/h:/s", "+", "+::::::", "+a:x:0:0:c:/h:/s", "+@ng::::::", "-a", "-@ng::::::",
		"a:x:-1:0:c:/h:/s", "a:x:4294967296:0:c:/h:/s", "a:x:99999999999999999999:0:c:/h:/s", "a:x:0x10:0:c:/h:/s", "a:x:5 :0:c:/h:/s", "a:x::0:c:/h:/s", "a:x:abc:0:c:/h:/s",
		"a", "a:x", "a:x:5",
	} {
		f := passwd.Parse("etc/passwd", []byte(line+"\n"))
		require.Equal(t, line+"\n", string(f.Bytes()))
		for u := range f.Users() {
			require.Fail(t, "a user", "%q gave %q with uid %d", line, u.Name, u.UID)
		}
		_, ok := f.LookupID(0)
		require.False(t, ok, "%q is nobody's uid 0", line)
	}
}

func TestHostileNames(t *testing.T) {
	src := "bobby:x:1000:1000::/home/bobby:/bin/sh\nbob:x:01001:1001::/home/bob:/bin/sh\n#bob\nbo:x:1002:1002::/:"
	f := passwd.Parse("etc/passwd", []byte(src))
	bob, ok := f.Lookup("bob")
	require.True(t, ok)
	require.Equal(t, uint32(1001), bob.UID, "decimal, not octal")
	bob.Shell = "/bin/false"
	require.NoError(t, f.Set(bob))
	// A file that is written may get the newline that its last line lacks.
	require.Equal(t, strings.Replace(src, "bob:/bin/sh", "bob:/bin/false", 1), strings.TrimSuffix(string(f.Bytes()), "\n"))
	require.NoError(t, f.Remove("bob"))
	require.Equal(t, "bobby:x:1000:1000::/home/bobby:/bin/sh\n#bob\nbo:x:1002:1002::/:", strings.TrimSuffix(string(f.Bytes()), "\n"))
	require.Error(t, f.Remove("bob"))
}

func TestHostileAddGoesBeforeNIS(t *testing.T) {
	for _, nis := range []string{"+", "+::::::", "-bob", "+@ng::::::"} {
		f := passwd.Parse("etc/passwd", []byte("root:x:0:0::/root:/bin/sh\n"+nis))
		require.NoError(t, f.Add(passwd.User{Name: "u", UID: 1000, GID: 1000, Home: "/h", Shell: "/s"}))
		got := string(f.Bytes())
		require.True(t, strings.HasSuffix(strings.TrimSuffix(got, "\n"), ":/s\n"+nis), "%q", got)
	}
}

func TestHostileValuesAreRefused(t *testing.T) {
	for _, u := range []passwd.User{
		{Name: "", UID: 1000}, {Name: "a:b", UID: 1000}, {Name: "a\nb", UID: 1000}, {Name: "+", UID: 1000}, {Name: "-a", UID: 1000}, {Name: "#a", UID: 1000},
		{Name: "a", UID: 4294967295}, {Name: "a", UID: 1000, GID: 4294967295}, {Name: "a", Gecos: "x:y"}, {Name: "a", Home: "/h\nroot::0:0::/:"},
		{Name: "a", Shell: "/s\r"}, {Name: "a", Gecos: strings.Repeat("x", 40000)}, {Name: "a", Gecos: "\x00"},
	} {
		f := passwd.Parse("etc/passwd", []byte("root:x:0:0::/root:/bin/sh\n"))
		require.Error(t, f.Add(u), "%.60q", u)
		require.Equal(t, "root:x:0:0::/root:/bin/sh\n", string(f.Bytes()))
	}
}

func TestHostileMemberLists(t *testing.T) {
	for in, want := range map[string]string{
		"g:x:5:a,,b\n": "g:x:5:a,,b,u\n", "g:x:5:a,\n": "g:x:5:a,u\n", "g:x:5:\n": "g:x:5:u\n", "g:x:5\n": "g:x:5:u\n",
		"g:x:5:a, b ,c\n": "g:x:5:a, b ,c,u\n", "g:x:5:u\n": "g:x:5:u\n", "g:x:5: u\n": "g:x:5: u\n", "g:x:5:uu\n": "g:x:5:uu,u\n",
	} {
		f := passwd.ParseGroup("etc/group", []byte(in))
		_, err := f.AddMember("g", "u")
		require.NoError(t, err, "%q", in)
		require.Equal(t, want, string(f.Bytes()))
	}
	f := passwd.ParseGroup("etc/group", []byte("g:x:5:a:b\n"))
	_, err := f.AddMember("g", "u")
	require.ErrorIs(t, err, passwd.ErrMalformed)
	require.Equal(t, "g:x:5:a:b\n", string(f.Bytes()))
}

func TestHostileFedoraToUbuntu(t *testing.T) {
	lines := []string{"alice:x:500:500::/home/alice:/bin/bash", "bob:x:501:501::/home/bob:/sbin/nologin", "nobody:x:99:99::/:/sbin/nologin",
		"nfsnobody:x:65534:65534::/:/sbin/nologin", "rtkit:x:499:499::/proc:/sbin/nologin", "toor:x:0:0::/root:/bin/sh", "max:x:4294967295:500::/home/max:/bin/sh",
		"n64:x:4294967294:500::/home/n64:/bin/sh", "half:x:65535:500::/home/half:/bin/sh"}
	groups := "alice:x:500:\nbob:x:501:\n"
	for range lines {
		lines = append(lines[1:], lines[0])
		p := hostileMerge(strings.Join(lines, "\n")+"\n", groups, hostileTarget, hostileGroups, nil)
		require.Empty(t, p.Conflicts)
		moving := map[string]uint32{}
		for u := range p.Migrated() {
			moving[u.Name] = u.ToUID
		}
		require.Equal(t, map[string]uint32{"alice": 1001, "bob": 1002}, moving, "first line %q", lines[0])
		require.Equal(t, uint32(1001), p.UIDMap[500])
		require.Equal(t, uint32(1002), p.GIDMap[501])
		require.NotContains(t, hostileEdits(p)["etc/passwd"], "toor")
	}
}

func TestHostileSystemGroupsGoByName(t *testing.T) {
	old := "alice:x:500:12::/home/alice:/bin/sh\nbob:x:501:100::/home/bob:/bin/sh\n"
	p := hostileMerge(old, "mail:x:12:alice\nusers:x:100:\nwheel:x:10:alice\n", hostileTarget, hostileGroups, nil)
	require.Empty(t, p.Conflicts)
	require.Equal(t, uint32(8), p.GIDMap[12], "mail is 12 there and 8 here; 12 here is man")
	require.Equal(t, uint32(8), hostileUser(t, p, "alice").ToGID)
	require.Equal(t, uint32(100), hostileUser(t, p, "bob").ToGID)
	require.NotContains(t, hostileEdits(p)["etc/group"], "sudo:x:27:ubuntu,alice", "nobody joins sudo unasked")
}

func TestHostileSystemNames(t *testing.T) {
	for _, name := range []string{"backup", "games", "man"} {
		for _, how := range []passwd.Strategy{passwd.Stop, passwd.Keep} {
			p := hostileMerge(name+":x:500:500::/home/"+name+":/bin/sh\n", name+":x:500:\n", hostileTarget, hostileGroups, &passwd.Options{OnConflict: how})
			require.NotEmpty(t, p.Conflicts, "%s, %s", name, how)
			require.Error(t, func() error { _, err := p.Apply(context.Background(), t.TempDir()); return err }())
		}
	}
}

func TestHostileIDsInUse(t *testing.T) {
	const alice = "alice:x:1001:1001::/home/alice:/bin/sh\n"
	for what, target := range map[string]string{
		"a line of eight fields": "odd:x:1001:1001::/h:/s:x\n",
		"a line of four fields":  "odd:x:1001:1001\n",
		"leading zeros":          "odd:x:01001:1001::/h:/s\n",
		"a sign":                 "odd:x:+1001:1001::/h:/s\n",
		"a gid of a passwd line": "odd:x:1500:1001::/h:/s\n",
		"CRLF":                   "odd:x:1001:1001::/h:/s\r\n",
		"no newline at the end":  "odd:x:1001:1001::/h:/s",
		"blanks before the name": "  odd:x:1001:1001::/h:/s\n",
	} {
		p := hostileMerge(alice, "alice:x:1001:\n", hostileTarget+target, hostileGroups, nil)
		require.Empty(t, p.Conflicts, what)
		u := hostileUser(t, p, "alice")
		require.True(t, u.ToUID != 1001 || u.ToGID != 1001, "%s: %d:%d is in use", what, u.ToUID, u.ToGID)
		got := hostileEdits(p)["etc/passwd"]
		require.True(t, strings.HasPrefix(got, hostileTarget+target), "%s: the target's lines stand", what)
	}
	p := hostileMerge(alice, "alice:x:1001:\n", hostileTarget, hostileGroups+"odd:x:1001:a:b\n", nil)
	require.NotEqual(t, uint32(1001), hostileUser(t, p, "alice").ToGID, "a malformed group line")
	p = hostileMerge(alice, "alice:x:1001:\n", hostileTarget+"#odd:x:1001:1001::/h:/s\n", hostileGroups, nil)
	require.Equal(t, uint32(1001), hostileUser(t, p, "alice").ToUID, "a comment uses nothing")
}

func TestHostileSubordinateRanges(t *testing.T) {
	old := hostileHost("alice:x:1005:1005::/home/alice:/bin/sh\n", "alice:x:1005:\n", hostileOldDefs)
	target := hostileHost(hostileTarget, hostileGroups, hostileNewDefs)
	target.SubUID = passwd.ParseSubID("etc/subuid", []byte("ubuntu:1000:100\n"))
	p := passwd.Merge(old, target, nil)
	for u := range p.Migrated() {
		require.False(t, u.ToUID >= 1000 && u.ToUID < 1100, "uid %d is in a subordinate range of another", u.ToUID)
	}
}

func TestHostileAliases(t *testing.T) {
	p := hostileMerge("info:x:500:500::/home/info:/bin/sh\nsales:x:500:500::/home/info:/bin/sh\n", "info:x:500:\n", hostileTarget, hostileGroups, nil)
	require.Empty(t, p.Conflicts)
	require.Equal(t, hostileUser(t, p, "info").ToUID, hostileUser(t, p, "sales").ToUID, "two names of one uid stay two names of one uid")
}

// Files of the old host bear one gid for all groups that share it, so these have to share the new one.
func TestHostileGroupAliases(t *testing.T) {
	for _, groups := range []string{"dev:x:515:joe\nops:x:515:joe\n", "joe:x:515:\nops:x:515:joe\n", "ops:x:515:joe\njoe:x:515:\n"} {
		for _, user := range []string{"joe:x:515:515::/home/joe:/bin/sh\n", "joe:x:600:515::/home/joe:/bin/sh\n"} {
			p := hostileMerge(user, groups, hostileTarget, hostileGroups, nil)
			require.Empty(t, p.Conflicts)
			for _, g := range p.Groups {
				require.Equal(t, p.GIDMap[g.FromGID], g.ToGID, "%q with %q: gid_map says one thing, group %s another", user, groups, g.Name)
			}
		}
	}
}

func TestHostileBytesOfPeople(t *testing.T) {
	const gecos = "J\xf6rg \xff&,,,,,x"
	p := hostileMerge("joe:$1$abcdefgh$CANARY:500:500:"+gecos+":/home/joe:/bin/sh\r\nold:x:501:501::/home/old:/bin/sh:more\n", "joe:x:500:\n", hostileTarget, hostileGroups, nil)
	require.Empty(t, p.Conflicts)
	got := hostileEdits(p)["etc/passwd"]
	require.True(t, strings.HasSuffix(got, "joe:x:1001:1001:"+gecos+":/home/joe:/bin/sh\n") || strings.HasSuffix(got, "joe:x:"+fmt.Sprint(hostileUser(t, p, "joe").ToUID)+":"+fmt.Sprint(hostileUser(t, p, "joe").ToGID)+":"+gecos+":/home/joe:/bin/sh\n"),
		"bytes kept, CR gone, password x")
	require.NotContains(t, got, "more", "a line of eight fields is not migrated")
	require.NotContains(t, fmt.Sprintf("%s %+v %#v", p, p, p.Users), "CANARY")
}

func TestHostileCollisionsAreTold(t *testing.T) {
	for what, line := range map[string]string{
		"case twin":                     "Ubuntu:x:500:500::/home/other:/bin/sh\n",
		"home of another":               "al:x:500:500::/home/ubuntu:/bin/sh\n",
		"home of another, with a slash": "al:x:500:500::/home/ubuntu/:/bin/sh\n",
		"home inside that of another":   "al:x:500:500::/home/ubuntu/al:/bin/sh\n",
	} {
		p := hostileMerge(line, "", hostileTarget, hostileGroups, nil)
		require.NotEmpty(t, append(slices.Clone(p.Conflicts), p.Warnings...), what)
		told := fmt.Sprint(p.Conflicts, p.Warnings)
		require.Contains(t, strings.ToLower(told), "ubuntu", what)
	}
}

// Whatever the hosts: no id is given twice, none that the target uses is given at all, and the maps say the same as the
// users.
func TestHostileCrowds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var oldPw, oldGr, newPw, newGr strings.Builder
		newPw.WriteString(hostileTarget)
		newGr.WriteString(hostileGroups)
		for i := range 30 {
			id, gid := 490+rnd.IntN(40), 490+rnd.IntN(40)
			fmt.Fprintf(&oldPw, "o%d:x:%d:%d::/home/o%d:/bin/sh\n", i, id, gid, i)
			fmt.Fprintf(&oldGr, "g%d:x:%d:o%d\n", i, 490+rnd.IntN(40), rnd.IntN(30))
			fmt.Fprintf(&newPw, "t%d:x:%d:%d::/home/t%d:/bin/sh\n", i, 990+rnd.IntN(60), 990+rnd.IntN(60), i)
			fmt.Fprintf(&newGr, "h%d:x:%d:\n", i, 990+rnd.IntN(60))
		}
		p := hostileMerge(oldPw.String(), oldGr.String(), newPw.String(), newGr.String(), nil)
		target := hostileHost(newPw.String(), newGr.String(), "")
		origin := map[uint32]uint32{}
		for u := range p.Migrated() {
			require.Equal(t, u.ToUID, p.UIDMap[u.FromUID], "round %d", round)
			require.Equal(t, u.ToGID, p.GIDMap[u.FromGID], "round %d", round)
			_, used := target.Passwd.LookupID(u.ToUID)
			require.False(t, used, "round %d: %s gets uid %d, which is in use", round, u.Name, u.ToUID)
			from, given := origin[u.ToUID]
			require.True(t, !given || from == u.FromUID, "round %d: uid %d for %d and %d", round, u.ToUID, from, u.FromUID)
			origin[u.ToUID] = u.FromUID
			require.GreaterOrEqual(t, u.ToUID, uint32(1000))
		}
		gids := map[uint32]uint32{}
		for _, g := range p.Groups {
			if g.Action != passwd.ActionAdd && g.Action != passwd.ActionRenumber {
				continue
			}
			_, used := target.Group.LookupID(g.ToGID)
			require.False(t, used, "round %d: group %s gets gid %d, which is in use", round, g.Name, g.ToGID)
			from, given := gids[g.ToGID]
			require.True(t, !given || from == g.FromGID, "round %d: gid %d for %d and %d", round, g.ToGID, from, g.FromGID)
			gids[g.ToGID] = g.FromGID
		}
	}
}
