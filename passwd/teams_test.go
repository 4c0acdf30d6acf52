package passwd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// groupLines are the lines of the target's group file that differ after the plan.
func groupLines(new *Host, p *Plan) []string {
	var out []string
	before := string(new.Group.Bytes())
	for l := range strings.Lines(string(result(new, p).Group.Bytes())) {
		if !strings.Contains(before, l) {
			out = append(out, strings.TrimSuffix(l, "\n"))
		}
	}
	return out
}

func TestGroups(t *testing.T) {
	person := func(name string, uid, gid string) string {
		return name + ":x:" + uid + ":" + gid + "::/home/" + name + ":/bin/bash\n"
	}
	cases := []struct {
		name                         string
		oldPasswd, oldGroup          string
		newPasswd, newGroup          string
		opt                          *Options
		lines                        []string
		gids                         map[uint32]uint32 // a part of the map
		absent                       []uint32          // old gids that the map lacks
		conflicts, warnings, members []string
	}{
		{name: "primary group of the system, by name", oldPasswd: person("al", "500", "100") + person("bo", "501", "12"),
			gids: map[uint32]uint32{100: 100, 12: 8, 15: 12}},
		{name: "primary group of the system that the target lacks", oldPasswd: person("al", "500", "300"), oldGroup: "popusers:x:300:\n",
			lines: []string{"popusers:x:1001:"}, gids: map[uint32]uint32{300: 1001}, warnings: []string{"primary-group-created popusers"}},
		{name: "primary group that would give power", oldPasswd: person("al", "500", "10"), conflicts: []string{"privileged-primary al"}},
		{name: "which the caller may allow", oldPasswd: person("al", "500", "10"), opt: &Options{Privileged: []string{"sudo"}}, gids: map[uint32]uint32{10: 27}},
		{name: "groups of the system without counterpart have no number", oldPasswd: person("al", "500", "100"), oldGroup: "old:x:77:\n", absent: []uint32{77}},
		{name: "a membership without counterpart is told", oldPasswd: person("al", "500", "100"), oldGroup: "old:x:77:al\n", absent: []uint32{77}, warnings: []string{"group-missing old"}},
		{name: "supplementary groups of the system", oldPasswd: person("al", "500", "100"), oldGroup: "audio:x:63:root,al\n", newGroup: "audio:x:29:pulse\n",
			lines: []string{"audio:x:29:pulse,al"}, gids: map[uint32]uint32{63: 29}},
		{name: "two of them that are one on the target", oldPasswd: person("al", "500", "100") + person("bo", "501", "100"), oldGroup: "exim:x:93:al\nDebian-exim:x:101:bo,al\n",
			newGroup: "Debian-exim:x:110:zed\n", lines: []string{"Debian-exim:x:110:zed,al,bo"}, gids: map[uint32]uint32{93: 110, 101: 110}},
		{name: "privileged ones are listed only", oldPasswd: person("al", "500", "100"), oldGroup: "docker:x:490:al\nadm:x:4:al\n", newGroup: "docker:x:998:\nadm:x:4:\n",
			gids: map[uint32]uint32{490: 998}, warnings: []string{"privileged-group adm", "privileged-group docker"}},
		{name: "and joined on request", oldPasswd: person("al", "500", "100"), oldGroup: "docker:x:490:al\nadm:x:4:al\n", newGroup: "docker:x:998:\nadm:x:4:\n",
			opt: &Options{Privileged: []string{"docker"}}, lines: []string{"docker:x:998:al"}, warnings: []string{"privileged-group adm"}},
		{name: "by the name that the target has for them", oldPasswd: person("al", "500", "100") + person("bo", "501", "100"), oldGroup: "wheel:x:10:al,root,bo\n",
			opt: &Options{Privileged: []string{"sudo"}}, lines: []string{"sudo:x:27:al,bo"}, gids: map[uint32]uint32{10: 27}, warnings: []string{"duplicate-name"}},
		{name: "a group of people", oldPasswd: person("al", "500", "500") + person("bo", "501", "501"), oldGroup: "al:x:500:\nbo:x:501:\nteam:x:600:bo,al,ghost,mail\n",
			lines: []string{"al:x:1000:", "bo:x:1001:", "team:x:1100:bo,al,mail"}, gids: map[uint32]uint32{600: 1100}, warnings: []string{"members-dropped team"}},
		{name: "of which nobody comes", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:600:ghost\n", absent: []uint32{600}},
		{name: "that the target has", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:600:al\n", newGroup: "team:x:1000:zed\n",
			lines: []string{"team:x:1000:zed,al"}, gids: map[uint32]uint32{600: 1000}},
		{name: "split over two lines", oldPasswd: person("al", "500", "100") + person("bo", "501", "100"), oldGroup: "team:x:600:al\nteam:x:600:bo\n",
			lines: []string{"team:x:1100:al,bo"}, warnings: []string{"duplicate-name"}},
		{name: "that is of the system there", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:600:al\n", newGroup: "team:x:300:\n", conflicts: []string{"same-name-system team"}, absent: []uint32{600}},
		{name: "rename", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:600:al\n", newGroup: "team:x:300:\n", opt: &Options{OnConflict: Rename}, lines: []string{"team-2:x:1100:al"}},
		{name: "that is private there", oldPasswd: person("al", "500", "100"), oldGroup: "zed:x:600:al\n", newPasswd: person("zed", "1000", "1000"), newGroup: "zed:x:1000:\n", conflicts: []string{"same-name-group zed"}},
		{name: "keep joins nobody to a private group", oldPasswd: person("al", "500", "100"), oldGroup: "zed:x:600:al\n", newPasswd: person("zed", "1000", "1000"), newGroup: "zed:x:1000:\n",
			opt: &Options{OnConflict: Keep}, gids: map[uint32]uint32{600: 1000}},
		{name: "that is malformed there", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:600:al\n", newGroup: "team:x:1000:a:b\n", conflicts: []string{"malformed-target team"}, warnings: []string{"field-count"}},
		{name: "private group taken by several", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newGroup: "al:x:1000:zed\n", conflicts: []string{"group-taken al"}},
		{name: "or by another as its primary one", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newPasswd: person("zed", "1005", "1001"), newGroup: "al:x:1001:\n", conflicts: []string{"group-taken al"}},
		{name: "or by the system", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newGroup: "al:x:300:\n", conflicts: []string{"group-taken al"}},
		{name: "one that waits for its user is his", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newGroup: "al:x:1007:\n", gids: map[uint32]uint32{500: 1007}},
		{name: "keep lets it be shared", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newGroup: "al:x:1000:zed\n", opt: &Options{OnConflict: Keep}, gids: map[uint32]uint32{500: 1000}},
		{name: "rename gives it another name", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newGroup: "al:x:1000:zed\n", opt: &Options{OnConflict: Rename}, lines: []string{"al-2:x:1001:"}},
		{name: "private group of an account that stands", oldPasswd: person("al", "500", "500"), oldGroup: "al:x:500:\n", newPasswd: person("al", "1005", "1006"), newGroup: "alpha:x:1006:\n",
			opt: &Options{OnConflict: Keep}, gids: map[uint32]uint32{500: 1006}},
		{name: "private group with another number follows", oldPasswd: person("al", "500", "700"), oldGroup: "al:x:700:\n", lines: []string{"al:x:1000:"}, gids: map[uint32]uint32{700: 1000}},
		{name: "and stays when it can", oldPasswd: person("al", "500", "1700"), oldGroup: "al:x:1700:\n", lines: []string{"al:x:1700:"}, gids: map[uint32]uint32{1700: 1700}},
		{name: "two names of one gid stay together", oldPasswd: person("al", "500", "700"), oldGroup: "al:x:700:\nalso:x:700:al\n", lines: []string{"al:x:1000:", "also:x:1000:al"}, gids: map[uint32]uint32{700: 1000}},
		{name: "unless the target has one of them", oldPasswd: person("al", "500", "700"), oldGroup: "al:x:700:\nteam:x:700:al\n", newGroup: "team:x:1005:\n",
			lines: []string{"team:x:1005:al", "al:x:1000:"}, gids: map[uint32]uint32{700: 1000}, warnings: []string{"gid-split team"}},
		{name: "nor to a private group with its user's number", oldPasswd: person("al", "1500", "700"), oldGroup: "al:x:700:\nteam:x:1500:al\n",
			lines: []string{"al:x:1000:", "team:x:1500:al"}, gids: map[uint32]uint32{700: 1000, 1500: 1500}},
		{name: "of those who are there when its name is free", oldPasswd: person("al", "1000", "100"), oldGroup: "team:x:600:al,bo\n", newPasswd: person("al", "1000", "100"),
			lines: []string{"team:x:1001:al"}, gids: map[uint32]uint32{600: 1001}, warnings: []string{"members-dropped team"}},
		{name: "but not when it is another's", oldPasswd: person("al", "1000", "100"), oldGroup: "team:x:600:al\n", newPasswd: person("al", "1000", "100"), newGroup: "team:x:300:\n",
			absent: []uint32{600}, warnings: []string{"group-left team"}},
		{name: "nor a private one", oldPasswd: person("al", "1000", "100"), oldGroup: "zed:x:600:al\n", newPasswd: person("al", "1000", "100") + person("zed", "1001", "1001"), newGroup: "zed:x:1001:\n",
			opt: &Options{OnConflict: Rename}, absent: []uint32{600}, warnings: []string{"group-left zed"}},
		{name: "of whom one comes", oldPasswd: person("al", "1000", "100") + person("bo", "501", "100"), oldGroup: "team:x:600:al,bo\n", newPasswd: person("al", "1000", "100"), newGroup: "team:x:300:\n",
			opt: &Options{OnConflict: Rename}, lines: []string{"team-2:x:1100:al,bo"}, gids: map[uint32]uint32{600: 1100}},
		{name: "the primary one of those who are there is what they have", oldPasswd: person("al", "1000", "600") + person("bo", "1001", "600"), oldGroup: "team:x:600:\n",
			newPasswd: person("al", "1000", "1005") + person("bo", "1001", "1005"), newGroup: "staff:x:1005:\n", opt: &Options{OnConflict: Keep}, gids: map[uint32]uint32{600: 1005}},
		{name: "when that is one", oldPasswd: person("al", "1000", "600") + person("bo", "1001", "600"), oldGroup: "team:x:600:\n",
			newPasswd: person("al", "1000", "1005") + person("bo", "1001", "1006"), newGroup: "al:x:1005:\nbo:x:1006:\n", opt: &Options{OnConflict: Keep}, lines: []string{"team:x:1002:"}, gids: map[uint32]uint32{600: 1002}},
		{name: "a kept gid is given to nobody", oldPasswd: person("al", "500", "100"), oldGroup: "team:x:1000:al\n", lines: []string{"team:x:1000:al"}, gids: map[uint32]uint32{1000: 1000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			old := hostOf(oldSystem+c.oldPasswd, oldGroups+c.oldGroup, oldDefs)
			new := hostOf(newSystem+c.newPasswd, newGroups+c.newGroup, newDefs)
			p := Merge(old, new, c.opt)
			require.Equal(t, c.conflicts, kinds(p.Conflicts), p.Conflicts)
			require.Equal(t, c.warnings, kinds(p.Warnings), p.Warnings)
			if c.conflicts == nil {
				require.Equal(t, c.lines, groupLines(new, p))
				requireSound(t, p)
				requireOnce(t, old, new, p, c.opt)
			}
			for from, to := range c.gids {
				require.Equal(t, to, p.GIDMap[from], "gid %d", from)
			}
			for _, gid := range c.absent {
				require.NotContains(t, p.GIDMap, gid)
			}
		})
	}
}

// requireOnce requires that a second merge changes nothing and gives the same maps.
func requireOnce(t *testing.T, old, new *Host, p *Plan, opt *Options) {
	t.Helper()
	proof := Options{}
	if opt != nil {
		proof = *opt
	}
	came := map[string]string{}
	for u := range p.Migrated() {
		came[u.Name] = u.To
	}
	proof.SamePerson = func(o, n string) bool { return came[o] == n }
	again := Merge(old, result(new, p), &proof)
	require.Empty(t, again.Conflicts)
	require.Empty(t, again.Changed)
	require.Equal(t, p.UIDMap, again.UIDMap)
	require.Equal(t, p.GIDMap, again.GIDMap)
}

func TestKeptGidPushesTheBlock(t *testing.T) {
	old := hostOf(oldSystem+"al:x:500:100::/home/al:/bin/bash\n", oldGroups+"team:x:1000:al\n", oldDefs)
	require.Equal(t, []string{"al 500->1001 gid 100->100"}, moves(Merge(old, withUsers(false), nil)))
}

func TestPrivateGroupOfAnEarlierHalf(t *testing.T) {
	old, new := labHosts()
	whole := Merge(old, new, nil)
	half := *new
	for name, text := range whole.Edits() {
		if name == "etc/group" {
			half.Group = ParseGroup(name, text[1])
		}
	}
	again := Merge(old, &half, nil)
	require.Empty(t, again.Conflicts)
	require.Equal(t, []string{"etc/passwd"}, again.Changed)
	require.Equal(t, whole.UIDMap, again.UIDMap)
	require.Equal(t, whole.GIDMap, again.GIDMap)
	require.Equal(t, whole.edits[1].after, again.edits[0].after)
}

func TestWithoutShadowFiles(t *testing.T) {
	new := withUsers(false)
	new.Shadow, new.GShadow = false, false
	p := Merge(withUsers(true, "al:500"), new, nil)
	require.Equal(t, []string{"al:*:1000:"}, groupLines(new, p))
	after := result(new, p)
	require.Equal(t, "*", after.Passwd.Password("al"))
	require.Equal(t, []string{"no-shadow al"}, kinds(p.Warnings))
}

func TestSubordinateIDs(t *testing.T) {
	old, new := withUsers(true, "al:500", "bo:501", "cy:502"), withUsers(false)
	old.SubUID = ParseSubID("etc/subuid", []byte("al:100000:65536\n501:165536:65536\ncy:300000:10\nmail:400000:10\n"))
	old.SubGID = ParseSubID("etc/subgid", []byte("al:100000:65536\n"))
	new.SubUID = ParseSubID("etc/subuid", []byte("zed:100000:65536\n"))
	p := Merge(old, new, nil)
	require.Empty(t, p.Conflicts)
	after := result(new, p)
	require.Equal(t, "zed:100000:65536\nal:165536:65536\n1001:231072:65536\ncy:300000:10\n", string(after.SubUID.Bytes()))
	require.Equal(t, []string{"subid al", "subid bo", "subid al"}, kinds(p.Warnings))
	require.Equal(t, []string{"etc/group", "etc/passwd", "etc/subuid"}, p.Changed)

	half := *new
	half.SubUID = after.SubUID
	require.Equal(t, []string{"etc/group", "etc/passwd"}, Merge(old, &half, nil).Changed)
}
