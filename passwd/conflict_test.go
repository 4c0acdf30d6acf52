package passwd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConflicts(t *testing.T) {
	sub := func(h *Host, ranges string) *Host { h.SubUID = ParseSubID("etc/subuid", []byte(ranges)); return h }
	add := func(h *Host, passwd, group string) *Host {
		n := hostOf(string(h.Passwd.Bytes())+passwd, string(h.Group.Bytes())+group, "")
		n.Defs = h.Defs
		return n
	}
	cases := []struct {
		name      string
		old, new  *Host
		opt       *Options
		conflicts []string
		warnings  []string
		moves     []string
	}{
		{name: "same ids and home are present", old: withUsers(true, "dave:1002"), new: withUsers(false, "dave:1002"), moves: []string{"dave 1002->1002"}},
		{name: "another person of that name", old: withUsers(true, "al:500"), new: withUsers(false, "al:1000"), conflicts: []string{"same-name-different-uid al"}},
		{name: "keep maps to the target's", old: withUsers(true, "al:500"), new: withUsers(false, "al:1000"), opt: &Options{OnConflict: Keep}, moves: []string{"al 500->1000"}},
		{name: "rename", old: withUsers(true, "al:500"), new: withUsers(false, "al:1000"), opt: &Options{OnConflict: Rename}, moves: []string{"al-2 500->1001"}},
		{name: "the same person by proof", old: withUsers(true, "al:500"), new: withUsers(false, "al:1000"),
			opt: &Options{SamePerson: func(a, b string) bool { return a == "al" && b == "al" }}, moves: []string{"al 500->1000"}},
		{name: "another home", old: withUsers(true, "al:1000"), new: hostOf(newSystem+"al:x:1000:1000::/srv/al:/bin/sh\n", newGroups+"al:x:1000:\n", newDefs),
			conflicts: []string{"same-name-different-home al"}},
		{name: "a slash more is the same home", old: withUsers(true, "al:1000"), new: hostOf(newSystem+"al:x:1000:1000::/home/al/:/bin/sh\n", newGroups+"al:x:1000:\n", newDefs),
			moves: []string{"al 1000->1000"}},
		{name: "a system account of that name", old: withUsers(true, "backup:500"), new: withUsers(false), conflicts: []string{"same-name-system backup"}},
		{name: "which keep does not touch", old: withUsers(true, "backup:500"), new: withUsers(false), opt: &Options{OnConflict: Keep}, conflicts: []string{"same-name-system backup"}},
		{name: "and rename solves", old: withUsers(true, "backup:500"), new: withUsers(false), opt: &Options{OnConflict: Rename}, moves: []string{"backup-2 500->1000"}},
		{name: "a malformed line of that name", old: withUsers(true, "al:500"), new: add(withUsers(false), "al:x:1000:1000\n", ""), conflicts: []string{"malformed-target al"}, warnings: []string{"field-count"}},
		{name: "malformed lines use their ids", old: withUsers(true, "al:500"), new: add(withUsers(false), "o:x:1000:1001\n", "o:x:1002:a:b\n"),
			warnings: []string{"field-count", "field-count"}, moves: []string{"al 500->1003"}},
		{name: "uids that are gids are not free", old: withUsers(true, "al:1000"), new: add(withUsers(false), "", "team:x:1000:\n"), moves: []string{"al 1000->1001"}},
		{name: "subordinate ids are not free", old: hostOf(oldSystem+"al:x:108472:500:::\n", oldGroups+"al:x:500:\n", "UID_MIN 500\nUID_MAX 200000\n"),
			new: sub(hostOf(newSystem, newGroups, "UID_MIN 1000\nUID_MAX 200000\n"), "x:100000:65536\n"), moves: []string{"al 108472->165536 gid 500->57564"}},
		{name: "ids of containers and dynamic users are not free", old: hostOf(oldSystem+"al:x:61200:500:::\n", oldGroups+"al:x:500:\n", "UID_MIN 500\nUID_MAX 70000\n"),
			new: hostOf(newSystem, newGroups, "UID_MIN 1000\nUID_MAX 70000\n"), moves: []string{"al 61200->65536 gid 500->4836"}},
		{name: "no room", old: withUsers(true, "al:500", "bo:501"), new: hostOf(newSystem+"x:x:1000:1000:::\n", newGroups+"x:x:1000:\n", "UID_MIN 1000\nUID_MAX 1001\nGID_MIN 1000\nGID_MAX 1001\n"),
			conflicts: []string{"uid-taken bo"}, moves: []string{"al 500->1001"}},
		{name: "two names of one uid stay together", old: hostOf(oldSystem+"al:x:500:500::/home/al:/bin/sh\nal2:x:500:500::/home/al:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs),
			new: withUsers(false, "z:1000"), moves: []string{"al 500->1001", "al2 500->1001"}},
		{name: "also when one is there", old: hostOf(oldSystem+"al:x:500:500::/home/al:/bin/sh\nal2:x:500:500::/home/al:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs),
			new: withUsers(false, "al:1007"), opt: &Options{UIDs: map[string]uint32{"al": 1007}}, moves: []string{"al 500->1007", "al2 500->1007"}},
		{name: "but not when both are, apart", old: hostOf(oldSystem+"al:x:500:500::/home/al:/bin/sh\nal2:x:500:500::/home/al:/bin/sh\nal3:x:500:500::/home/al:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs),
			new: withUsers(false, "al:1007", "al2:1008"), opt: &Options{OnConflict: Keep}, conflicts: []string{"alias-pair al2"}, moves: []string{"al 500->1007", "al3 500->1007"}},
		{name: "case twin of the target", old: withUsers(true, "Al:500"), new: withUsers(false, "al:1000"), conflicts: []string{"case-twin Al"}},
		{name: "case twins of the old host", old: withUsers(true, "Al:500", "al:501"), new: withUsers(false), warnings: []string{"case-twin al"}, moves: []string{"Al 500->1000", "al 501->1001"}},
		{name: "twins beyond ASCII", old: withUsers(true, "ÉMILE:500", "Σam:501", "ςam:502"), new: withUsers(false, "émile:1000"), conflicts: []string{"case-twin ÉMILE"},
			warnings: []string{"name-odd ÉMILE", "name-odd Σam", "case-twin ςam", "name-odd ςam"}, moves: []string{"Σam 501->1001", "ςam 502->1002"}},
		{name: "home of another", old: hostOf(oldSystem+"al:x:500:500::/home/bo:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs), new: withUsers(false, "bo:1000"), conflicts: []string{"home-collision al"}},
		{name: "home in that of another", old: hostOf(oldSystem+"al:x:500:500::/home/bo/al/:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs), new: withUsers(false, "bo:1000"), conflicts: []string{"home-collision al"}},
		{name: "home around that of another", old: hostOf(oldSystem+"al:x:500:500::/home/deep:/bin/sh\n", oldGroups+"al:x:500:\n", oldDefs),
			new: hostOf(newSystem+"bo:x:1000:1000::/home/deep/er/bo:/bin/sh\n", newGroups+"bo:x:1000:\n", newDefs), conflicts: []string{"home-collision al"}},
		{name: "home in that of one who stays", old: hostOf(oldSystem+"al:x:500:100::/home/bo/al:/bin/sh\nbo:x:501:100::/home/bo:/bin/sh\n", oldGroups, oldDefs), new: withUsers(false),
			opt: &Options{Exclude: []string{"bo"}}, conflicts: []string{"home-collision al"}},
		{name: "one home for two", old: hostOf(oldSystem+"al:x:500:100::/home/x:/bin/sh\nbo:x:501:100::/home/x/:/bin/sh\n", oldGroups, oldDefs), new: withUsers(false),
			warnings: []string{"home-shared bo"}, moves: []string{"al 500->1000 gid 100->100", "bo 501->1001 gid 100->100"}},
		{name: "home that is no path", old: hostOf(oldSystem+"al:x:500:100::home/al:/bin/sh\nbo:x:501:100::/home/../bo:/bin/sh\n", oldGroups, oldDefs), new: withUsers(false), conflicts: []string{"home-invalid al", "home-invalid bo"}},
		{name: "no home at all", old: hostOf(oldSystem+"al:x:500:100:::/bin/bash\nbo:x:501:100::/dev/null:/bin/bash\n", oldGroups, oldDefs), new: withUsers(false), moves: []string{"al 500->1000 gid 100->100", "bo 501->1001 gid 100->100"}},
		{name: "bad names", old: hostOf(oldSystem+"a/b:x:500:100::/home/a:/bin/bash\na b:x:501:100::/home/b:/bin/bash\n"+strings.Repeat("n", 33)+":x:502:100::/home/n:/bin/bash\n", oldGroups, oldDefs), new: withUsers(false),
			conflicts: []string{"name-invalid a/b", "name-invalid a b", "name-invalid " + strings.Repeat("n", 33)}},
		{name: "odd names", old: hostOf(oldSystem+"1234:x:500:100::/home/a:/bin/bash\na@b:x:501:100::/home/b:/bin/bash\nJ.Doe:x:502:100::/home/j:/bin/bash\n", oldGroups, oldDefs), new: withUsers(false),
			warnings: []string{"name-odd 1234", "name-odd a@b"}, moves: []string{"1234 500->1000 gid 100->100", "a@b 501->1001 gid 100->100", "J.Doe 502->1002 gid 100->100"}},
		{name: "dangling primary group", old: hostOf(oldSystem+"al:x:500:777:::\n", oldGroups, oldDefs), new: withUsers(false), conflicts: []string{"dangling-primary-group al"}},
		{name: "primary group under the name of another", old: hostOf(oldSystem+"al:x:500:777:::\n", oldGroups+"users:x:777:\n", oldDefs), new: withUsers(false),
			conflicts: []string{"dangling-primary-group al"}, warnings: []string{"duplicate-name"}},
		{name: "aliases of root, logins below and above", old: hostOf("root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/root:/bin/bash\nold:x:400:100::/home/old:/bin/bash\nfar:x:70000:100::/home/far:/bin/bash\nrtkit:x:499:100::/proc:/sbin/nologin\n", oldGroups, oldDefs),
			new: withUsers(false), warnings: []string{"uid-0 toor", "below-uid-min old", "above-uid-max far"}},
		{name: "probable service", old: hostOf(oldSystem+"cpanel:x:32001:100::/var/cpanel/userhomes/cpanel:/sbin/nologin\n", oldGroups, oldDefs), new: add(withUsers(false), "x:x:40:40:::/sbin/nologin\n", ""),
			warnings: []string{"probable-service cpanel"}, moves: []string{"cpanel 32001->32001 gid 100->100"}},
		{name: "unfit lines stay behind", old: add(withUsers(true), " al:x:500:100:::\nbo:x:+501:100:::\ncy:x:502:100:a\tb::\ndi:x:503:100:::/s:x\n", ""), new: withUsers(false),
			warnings: []string{"leading-space", "number-form", "control", "field-count", "malformed al", "malformed bo", "malformed cy"}},
		{name: "nul in the target", old: withUsers(true, "al:500"), new: add(withUsers(false), "x\x00\n", ""), conflicts: []string{"value al"}, warnings: []string{"nul", "field-count"}},
		{name: "too long to write", old: add(withUsers(true), "al:x:500:100:"+strings.Repeat("g", 33000)+":/home/al:/bin/bash\n", ""), new: withUsers(false), conflicts: []string{"value al"}, warnings: []string{"too-long"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := Merge(c.old, c.new, c.opt)
			require.Equal(t, c.conflicts, kinds(p.Conflicts), p.Conflicts)
			var warnings []string
			for _, w := range p.Warnings {
				if w.Kind != "shell" && w.Kind != "group-missing" {
					warnings = append(warnings, strings.TrimSpace(w.Kind+" "+w.Name))
				}
			}
			require.Equal(t, c.warnings, warnings, p.Warnings)
			require.Equal(t, c.moves, moves(p))
			if len(p.Conflicts) == 0 {
				requireSound(t, p)
			}
		})
	}
}

// Accounts that are on the target already bring no path along that leads elsewhere.
func TestPathsOfThoseThere(t *testing.T) {
	const group = "g:x:1500:\n"
	for _, c := range []struct{ name, home, there, kind string }{
		{"al", "/home/al", "/home/al", ""},
		{"al", "/home/al", "/home/./al/", ""},
		{"al b", "/home/al", "/home/al", ""},
		{"a/../../etc", "/home/al", "/home/al", "name-invalid"},
		{"..", "/home/al", "/home/al", "name-invalid"},
		{".", "/home/al", "/home/al", "name-invalid"},
		{"al", "/home/al", "home/al", "home-invalid"},
		{"al", "/home/al", "../../etc", "home-invalid"},
		{"al", "/home/al", "/home/x/../al", "home-invalid"},
		{"al", "/home/al", "/etc", "home-system"},
		{"al", "/etc", "/home/al", "home-system"},
	} {
		old := hostOf(oldSystem+c.name+":x:1500:1500::"+c.home+":/bin/sh\n", oldGroups+group, oldDefs)
		new := hostOf(newSystem+c.name+":x:1500:1500::"+c.there+":/bin/sh\n", newGroups+group, newDefs)
		p := Merge(old, new, &Options{UIDs: map[string]uint32{c.name: 1500}})
		if c.kind == "" {
			require.Empty(t, p.Conflicts, "%+v", c)
			require.Equal(t, "/home/al", p.Users[0].ToHome)
		} else {
			require.Equal(t, []string{c.kind + " " + c.name}, kinds(p.Conflicts), "%+v", c)
		}
	}
}

// A new name is cut to 32 bytes, the old one stays what it is.
func TestRenameHidesNoPath(t *testing.T) {
	name := strings.Repeat("x", 30) + "/.."
	line := name + ":x:%d:1500::/home/al:/bin/sh\n"
	old := hostOf(oldSystem+fmt.Sprintf(line, 1500), oldGroups+"g:x:1500:\n", oldDefs)
	new := hostOf(newSystem+fmt.Sprintf(line, 1501), newGroups, newDefs)
	p := Merge(old, new, &Options{OnConflict: Rename})
	require.Equal(t, []string{"name-invalid " + name}, kinds(p.Conflicts))
}

// Who was renamed for a twin in another case is known again.
func TestCaseTwinAgain(t *testing.T) {
	old, new := withUsers(true, "Dave:500"), withUsers(false, "dave:1002")
	opt := &Options{OnConflict: Rename, UIDs: map[string]uint32{}}
	p := Merge(old, new, opt)
	require.Equal(t, "Dave-2", p.Users[0].To)
	after := result(new, p)
	for _, how := range []Strategy{Stop, Keep, Rename} {
		again := Merge(old, after, &Options{OnConflict: how, UIDs: map[string]uint32{"Dave": p.Users[0].ToUID}})
		require.Empty(t, again.Conflicts)
		require.Empty(t, again.Changed)
		require.Equal(t, "Dave-2", again.Users[0].To)
	}
}

// A new name that differs from another of the target in case alone is none.
func TestRenamedBesideATwin(t *testing.T) {
	old, new := withUsers(true, "al:500"), withUsers(false, "al:1000", "AL-2:1001")
	opt := &Options{OnConflict: Rename}
	p := Merge(old, new, opt)
	require.Equal(t, []string{"al-3 500->1002"}, moves(p))
	requireOnce(t, old, new, p, opt)
}

// Two names of one uid, one of which is there; the name of the other is a stranger's, under that very uid.
func TestRenamedBesideAnAlias(t *testing.T) {
	old := hostOf(oldSystem+"al:x:1000:100::/home/al:/bin/sh\nbo:x:1000:100::/home/bo:/bin/sh\n", oldGroups, oldDefs)
	new := hostOf(newSystem+"al:x:1000:100::/home/other:/bin/sh\nbo:x:1000:100::/home/bo:/bin/sh\n", newGroups, newDefs)
	p := Merge(old, new, &Options{OnConflict: Rename})
	require.Empty(t, p.Conflicts)
	require.Equal(t, []string{"al-2 1000->1000 gid 100->100", "bo 1000->1000 gid 100->100"}, moves(p))
	again := Merge(old, result(new, p), &Options{OnConflict: Rename, UIDs: map[string]uint32{"al": 1000, "bo": 1000}})
	require.Empty(t, again.Changed)
	require.Equal(t, moves(p), moves(again))
}

// A group of the old host that is the primary one of its namesake and, by a malformed line, of another as well is no
// private group there. The target has no such line and still is not asked to make it another group.
func TestSharedGroupOfItsNamesakeAgain(t *testing.T) {
	old := hostOf(oldSystem+"al:x:700:500::/home/al:/bin/sh\nodd:x:40:500\n", oldGroups+"al:x:500:\n", oldDefs)
	for _, how := range []Strategy{Stop, Keep, Rename} {
		first := Merge(old, withUsers(false), &Options{OnConflict: how})
		require.Equal(t, []string{"al 700->1000 gid 500->1001"}, moves(first))
		after := result(withUsers(false), first)
		for _, opt := range []*Options{
			{UIDs: map[string]uint32{"al": 1000}, GIDs: map[string]uint32{"al": 1001}},
			{SamePerson: func(a, b string) bool { return a == b }},
		} {
			opt.OnConflict = how
			again := Merge(old, after, opt)
			require.Empty(t, again.Conflicts)
			require.Empty(t, again.Changed)
			require.Equal(t, first.GIDMap, again.GIDMap)
		}
	}
}

// New names leave gaps where another account or group has one, and all who were renamed are known again, by the ids on
// record or by the people alone.
func TestRenamedAgain(t *testing.T) {
	old := hostOf(oldSystem+"al:x:500:700::/home/al:/bin/sh\nbo:x:501:700::/home/bo:/bin/sh\n", oldGroups+"zed:x:700:\nyan:x:701:bo,al\n", oldDefs)
	new := hostOf(newSystem+"al:x:1000:1000::/home/other:/bin/sh\nzed:x:1001:1001:::\nyan:x:1002:1002:::\n",
		newGroups+"al:x:1000:\nal-2:x:300:\nzed:x:1001:\nzed-2:x:301:\nyan:x:1002:\n", newDefs)
	p := Merge(old, new, &Options{OnConflict: Rename})
	require.Empty(t, p.Conflicts)
	require.Equal(t, "al-3", p.Users[0].To)
	require.Equal(t, []string{"zed-3", "yan-2"}, []string{p.Groups[0].To, p.Groups[1].To})
	after := result(new, p)
	for _, opt := range []*Options{
		{UIDs: map[string]uint32{"al": p.Users[0].ToUID, "bo": p.Users[1].ToUID}, GIDs: map[string]uint32{"zed": p.Groups[0].ToGID, "yan": p.Groups[1].ToGID}},
		{SamePerson: func(o, n string) bool { return n == map[string]string{"al": "al-3", "bo": "bo"}[o] }},
	} {
		opt.OnConflict = Rename
		again := Merge(old, after, opt)
		require.Empty(t, again.Conflicts)
		require.Empty(t, again.Changed)
		require.Equal(t, p.GIDMap, again.GIDMap)
		require.Equal(t, p.UIDMap, again.UIDMap)
	}
}

func TestSystemHomesAreNeverCopied(t *testing.T) {
	for _, home := range []string{"/", "/root", "/etc", "/usr", "/var", "/bin", "//", "/etc/", "/home", "/home/.", "/var/mail", "/usr/local/bin", "/proc/self", "/etc/mail", "/dev/shm/x"} {
		old := hostOf(oldSystem+"al:x:500:100::"+home+":/bin/bash\n", oldGroups, oldDefs)
		for _, s := range []Strategy{Stop, Keep, Rename} {
			p := Merge(old, withUsers(false), &Options{OnConflict: s})
			require.Equal(t, []string{"home-system al"}, kinds(p.Conflicts), home)
		}
	}
}

func TestRenameTakesTheHomeAlong(t *testing.T) {
	old := hostOf(oldSystem+"al:x:500:500::/home/al/:/bin/bash\nbo:x:501:501::/home/b:/bin/bash\n", oldGroups+"al:x:500:\nbo:x:501:\n", oldDefs)
	new := withUsers(false, "al:1000", "bo:1001", "bo-2:1002")
	opt := &Options{OnConflict: Rename}
	p := Merge(old, new, opt)
	require.Empty(t, p.Conflicts)
	require.Equal(t, UserChange{"al", "al-2", 500, 1003, 500, 1003, "/home/al", "/home/al-2", ActionRenumber, `renamed: the target has another "al"`}, p.Users[0])
	require.Equal(t, UserChange{"bo", "bo-3", 501, 1004, 501, 1004, "/home/b", "/home/b-3", ActionRenumber, `renamed: the target has another "bo"`}, p.Users[1])
	after := result(new, p)
	_, ok := after.Group.Lookup("al-2")
	require.True(t, ok)
	u, _ := after.Passwd.Lookup("al-2")
	require.Equal(t, "/home/al-2", u.Home)

	opt.UIDs = map[string]uint32{"al": 1003, "bo": 1004}
	again := Merge(old, after, opt)
	require.Empty(t, again.Conflicts)
	require.Empty(t, again.Changed)
	require.Equal(t, []string{"al-2 500->1003", "bo-3 501->1004"}, moves(again))
}

func TestSelection(t *testing.T) {
	old := withUsers(true, "al:500", "bo:501", "cy:502")
	p := Merge(old, withUsers(false), &Options{Include: []string{"al", "502"}, Exclude: []string{"cy", "zoe"}})
	require.Empty(t, p.Conflicts)
	require.Equal(t, []string{"al 500->1000"}, moves(p))
	require.Equal(t, []string{"no-such-user zoe"}, kinds(p.Warnings))
	require.Equal(t, ActionSkip, p.Users[1].Action)
	require.Equal(t, "not chosen", p.Users[1].Reason)
	require.Equal(t, "excluded", p.Users[2].Reason)
	p = Merge(old, withUsers(false), &Options{Include: []string{"mail", "nfsnobody", "zoe"}})
	require.Equal(t, []string{"not-a-person mail", "not-a-person nfsnobody", "no-such-user zoe"}, kinds(p.Conflicts))
	require.Empty(t, moves(p))
}

func TestRanges(t *testing.T) {
	passwd := oldSystem + "al:x:500:100::/home/al:/bin/bash\n"
	for _, c := range []struct {
		name, passwd, defs string
		min                uint32
		warnings           []string
	}{
		{"set", passwd, "UID_MIN 500\n", 500, nil},
		{"octal", passwd, "UID_MIN 0764\n", 500, nil},
		{"absent, somebody lives at 500", passwd, "", 500, []string{"uid-min UID_MIN"}},
		{"absent, nobody does", oldSystem, "# none\n", 1000, []string{"uid-min UID_MIN"}},
		{"absent, but a newer file", passwd, "SYS_UID_MAX 999\n", 1000, []string{"uid-min UID_MIN"}},
		{"no number", passwd, "UID_MIN many\n", 500, []string{"uid-min UID_MIN"}},
		{"too low", oldSystem, "UID_MIN 1\n", 1000, []string{"uid-min UID_MIN"}},
		{"upside down", oldSystem, "UID_MIN 1000\nUID_MAX 999\n", 1000, []string{"uid-max UID_MAX"}},
	} {
		h := hostOf(c.passwd, oldGroups, c.defs)
		m := &merger{old: h, new: withUsers(false), plan: &Plan{}}
		m.readRanges()
		require.Equal(t, c.min, m.oldUIDs.min, c.name)
		require.Equal(t, uint32(60000), m.oldUIDs.max, c.name)
		require.Equal(t, c.warnings, kinds(m.plan.Warnings), c.name)
		for _, w := range m.plan.Warnings {
			require.Contains(t, w.Detail, "is used", c.name)
		}
	}
}

func TestShellOfAPerson(t *testing.T) {
	old := hostOf(oldSystem+"al:x:500:100::/home/al:/bin/tcsh\nbo:x:501:100::/home/bo:/bin/bash\n", oldGroups, oldDefs)
	new := withUsers(false)
	new.Shells = []string{"/bin/sh", "/bin/bash", "/usr/bin/tcsh"}
	p := Merge(old, new, nil)
	require.Equal(t, []string{"shell al"}, kinds(p.Warnings))
	require.Contains(t, p.Warnings[0].Detail, `"/usr/bin/tcsh"`)
	u, _ := result(new, p).Passwd.Lookup("al")
	require.Equal(t, "/bin/tcsh", u.Shell)
	p = Merge(old, new, &Options{Shells: map[string]string{"/bin/tcsh": "/usr/bin/tcsh"}})
	require.Empty(t, p.Warnings)
	u, _ = result(new, p).Passwd.Lookup("al")
	require.Equal(t, "/usr/bin/tcsh", u.Shell)
}

func TestFold(t *testing.T) {
	for _, same := range [][]string{{"bob", "BOB", "bOb"}, {"k", "K", "\u212a"}, {"stra\u017fe", "STRASE"}, {"émile", "ÉMILE"}, {"\xff\ufffdA", "\xff\ufffda"}} {
		for _, name := range same {
			require.Equal(t, fold(same[0]), fold(name), name)
		}
	}
	for _, other := range [][2]string{{"a", "b"}, {"\xe9", "\xc9"}, {"\xff", "\xfe"}, {"\xff", "\ufffd"}, {"strasse", "straße"}, {"é", "e\u0301"}} {
		require.NotEqual(t, fold(other[0]), fold(other[1]), other)
	}
}
