package passwd

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hostOf makes a host of the text of its files. A new account gets "x".
func hostOf(passwd, group, defs string) *Host {
	h := &Host{Passwd: Parse("etc/passwd", []byte(passwd)), Group: ParseGroup("etc/group", []byte(group)), Shadow: true, GShadow: true}
	if defs != "" {
		h.Defs = ParseDefs("etc/login.defs", []byte(defs))
	}
	return h
}

const (
	oldDefs   = "UID_MIN 500\nUID_MAX 60000\nGID_MIN 500\nGID_MAX 60000\n"
	newDefs   = "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n"
	oldSystem = "root:x:0:0:root:/root:/bin/bash\nmail:x:8:12:mail:/var/spool/mail:/sbin/nologin\nnobody:x:99:99:Nobody:/:/sbin/nologin\nnfsnobody:x:65534:65534::/var/lib/nfs:/sbin/nologin\n"
	oldGroups = "root:x:0:\nwheel:x:10:\nmail:x:12:mail\nman:x:15:\nsaslauth:x:76:\nnobody:x:99:\nusers:x:100:\nnfsnobody:x:65534:\n"
	newSystem = "root:x:0:0:root:/root:/bin/bash\nman:x:6:12:man:/var/cache/man:/usr/sbin/nologin\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\nbackup:x:34:34::/var/backups:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
	newGroups = "root:x:0:\nmail:x:8:\nman:x:12:\nsudo:x:27:\nbackup:x:34:\nsasl:x:45:\nusers:x:100:\nnogroup:x:65534:\n"
)

// user is a line of passwd with a home in /home, and its private group.
func user(name string, id uint32) (passwd, group string) {
	return fmt.Sprintf("%s:x:%d:%d:%s:/home/%s:/bin/bash\n", name, id, id, name, name), fmt.Sprintf("%s:x:%d:\n", name, id)
}

// withUsers makes hosts with the system above and users, given as "name:id".
func withUsers(old bool, users ...string) *Host {
	p, g, d := newSystem, newGroups, newDefs
	if old {
		p, g, d = oldSystem, oldGroups, oldDefs
	}
	for _, s := range users {
		var name string
		var id uint32
		_, err := fmt.Sscanf(strings.Replace(s, ":", " ", 1), "%s %d", &name, &id)
		if err != nil {
			panic(err)
		}
		a, b := user(name, id)
		p, g = p+a, g+b
	}
	return hostOf(p, g, d)
}

func labHosts() (old, new *Host) {
	old = withUsers(true, "alice:501", "bob:502", "carol:1001", "dave:1002", "erin:1500", "fay:503", "gus:504", "hana:505", "ivan:506")
	p := string(old.Passwd.Bytes()) + "jose:x:507:507:Jos\xe9 N\xfa\xf1ez,,,:/home/jose:/bin/bash\n"
	p = strings.Replace(p, "fay:/home/fay:/bin/bash", "fay:/home/fay:/sbin/nologin", 1)
	old = hostOf(p, string(old.Group.Bytes())+"jose:x:507:\nprojects:x:510:alice,bob\n", oldDefs)
	new = withUsers(false, "admin:1000", "installer:1001")
	p = string(new.Passwd.Bytes()) + "sysmon:x:501:501:system service:/var/lib/sysmon:/usr/sbin/nologin\n"
	g := strings.Replace(string(new.Group.Bytes()), "sudo:x:27:", "sudo:x:27:admin", 1) + "sysmon:x:501:\nsysdata:x:510:sysmon\n"
	return old, hostOf(p, g, newDefs)
}

// result is the target after the plan.
func result(new *Host, p *Plan) *Host {
	h := *new
	for name, text := range p.Edits() {
		switch name {
		case "etc/passwd":
			h.Passwd = Parse(name, text[1])
		case "etc/group":
			h.Group = ParseGroup(name, text[1])
		case "etc/subuid":
			h.SubUID = ParseSubID(name, text[1])
		case "etc/subgid":
			h.SubGID = ParseSubID(name, text[1])
		}
	}
	return &h
}

// moves lists who goes where, "alice 501->1001".
func moves(p *Plan) []string {
	var out []string
	for u := range p.Migrated() {
		s := fmt.Sprintf("%s %d->%d", u.To, u.FromUID, u.ToUID)
		if u.FromUID != u.FromGID || u.ToUID != u.ToGID {
			s += fmt.Sprintf(" gid %d->%d", u.FromGID, u.ToGID)
		}
		out = append(out, s)
	}
	return out
}

func kinds(list []Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, strings.TrimSpace(f.Kind+" "+f.Name))
	}
	return out
}

func TestMergeTwoUsersFromFedora(t *testing.T) {
	old, new := withUsers(true, "alice:500", "bob:501"), withUsers(false, "first:1000")
	p := Merge(old, new, nil)
	require.Empty(t, p.Conflicts)
	require.Equal(t, []string{"alice 500->1001", "bob 501->1002"}, moves(p))
	require.Equal(t, map[uint32]uint32{0: 0, 8: 8, 99: 65534, 65534: 65534, 500: 1001, 501: 1002}, p.UIDMap)
	require.Equal(t, map[uint32]uint32{0: 0, 10: 27, 12: 8, 15: 12, 76: 45, 99: 65534, 100: 100, 65534: 65534, 500: 1001, 501: 1002}, p.GIDMap)
	requireSound(t, p)
}

func TestMergeLab(t *testing.T) {
	old, new := labHosts()
	p := Merge(old, new, nil)
	require.Empty(t, p.Conflicts)
	requireSound(t, p)
	golden(t, "lab.txt", p.String())
	j, err := json.MarshalIndent(p, "", " ")
	require.NoError(t, err)
	require.NotContains(t, string(j), "null")
	golden(t, "lab.json", string(j)+"\n")
	var all strings.Builder
	for name, text := range p.Edits() {
		fmt.Fprintf(&all, "== %s\n%s", name, text[1])
		require.True(t, strings.HasPrefix(string(text[1]), string(text[0])), "lines are only added")
	}
	golden(t, "lab.files", all.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestSecondMergeIsEmpty(t *testing.T) {
	old, new := labHosts()
	first := Merge(old, new, nil)
	after := result(new, first)
	uids, gids := map[string]uint32{}, map[string]uint32{}
	for u := range first.Migrated() {
		uids[u.Name] = u.ToUID
	}
	for _, g := range first.Groups {
		gids[g.Name] = g.ToGID
	}
	for name, opt := range map[string]*Options{
		"by record": {UIDs: uids, GIDs: gids},
		"by proof":  {SamePerson: func(a, b string) bool { return a == b }},
	} {
		second := Merge(old, after, opt)
		require.Empty(t, second.Conflicts, name)
		require.Empty(t, second.Changed, name)
		require.Equal(t, first.UIDMap, second.UIDMap, name)
		require.Equal(t, first.GIDMap, second.GIDMap, name)
		require.Contains(t, second.String(), "nothing to change")
	}
	third := Merge(old, after, nil)
	require.Equal(t, []string{
		"same-name-different-uid alice", "same-name-different-uid bob", "same-name-different-uid fay", "same-name-different-uid gus",
		"same-name-different-uid hana", "same-name-different-uid ivan", "same-name-different-uid jose", "same-name-different-uid carol",
	}, kinds(third.Conflicts), "dave and erin kept their ids")

	a, b := user("kim", 508)
	more := hostOf(string(old.Passwd.Bytes())+a, string(old.Group.Bytes())+b, oldDefs)
	late := Merge(more, after, &Options{UIDs: uids, GIDs: gids})
	require.Empty(t, late.Conflicts)
	require.Contains(t, moves(late), "kim 508->1010")
	require.Contains(t, moves(late), fmt.Sprintf("alice 501->%d", uids["alice"]))
	require.Equal(t, []string{"etc/group", "etc/passwd"}, late.Changed)
}

func TestRecordsHoldBeforeTheFirstWrite(t *testing.T) {
	old, new := withUsers(true, "alice:500", "bob:501"), withUsers(false)
	p := Merge(old, new, &Options{UIDs: map[string]uint32{"bob": 1000, "gone": 1001}, GIDs: map[string]uint32{"bob": 1000, "gone": 1001}})
	require.Empty(t, p.Conflicts)
	require.Equal(t, []string{"alice 500->1002", "bob 501->1000"}, moves(p))
	p = Merge(old, withUsers(false, "other:1000"), &Options{UIDs: map[string]uint32{"bob": 1000}})
	require.Equal(t, []string{"uid-taken bob"}, kinds(p.Conflicts))
}

func TestMergeDoesNotDependOnTheOrderOfLines(t *testing.T) {
	old, new := labHosts()
	want := moves(Merge(old, new, nil))
	shuffle := func(src []byte, r *rand.Rand) string {
		ls := strings.SplitAfter(strings.TrimSuffix(string(src), "\n"), "\n")
		ls[len(ls)-1] += "\n"
		r.Shuffle(len(ls), func(i, j int) { ls[i], ls[j] = ls[j], ls[i] })
		return strings.Join(ls, "")
	}
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		o := hostOf(shuffle(old.Passwd.Bytes(), r), shuffle(old.Group.Bytes(), r), oldDefs)
		n := hostOf(shuffle(new.Passwd.Bytes(), r), shuffle(new.Group.Bytes(), r), newDefs)
		p := Merge(o, n, nil)
		require.Equal(t, want, moves(p))
		require.Empty(t, p.Conflicts)
	}
}

func TestMapsSwap(t *testing.T) {
	old := hostOf(oldSystem+"alice:x:500:12:::\n", "root:x:0:\nman:x:8:\nmail:x:12:\n", oldDefs)
	p := Merge(old, withUsers(false), nil)
	require.Empty(t, p.Conflicts)
	require.Equal(t, uint32(12), p.GIDMap[8])
	require.Equal(t, uint32(8), p.GIDMap[12])
	require.Equal(t, []string{"alice 500->1000 gid 12->8"}, moves(p))
}

func TestLinesOfWindowsEditorsComeClean(t *testing.T) {
	old := hostOf(oldSystem+"al:x:500:500::/home/al:/bin/bash\r\n", oldGroups+"al:x:500:\r\nteam:x:600:al\r\n", oldDefs)
	new := withUsers(false)
	p := Merge(old, new, nil)
	require.Equal(t, []string{"crlf", "crlf", "crlf"}, kinds(p.Warnings))
	after := result(new, p)
	require.Equal(t, newSystem+"al:x:1000:1000::/home/al:/bin/bash\n", string(after.Passwd.Bytes()))
	require.Equal(t, newGroups+"al:x:1000:\nteam:x:1100:al\n", string(after.Group.Bytes()))
}

func TestCanary(t *testing.T) {
	old := hostOf(oldSystem+"alice:$1$canary$hash:500:500:::\n", "alice:$1$canary$hash:500:\n", oldDefs)
	p := Merge(old, withUsers(false), nil)
	j, err := json.Marshal(p)
	require.NoError(t, err)
	for _, text := range []string{p.String(), string(j), fmt.Sprintf("%v %+v %#v", *p, p.Users, p.Conflicts)} {
		require.NotContains(t, text, "canary")
	}
	for _, e := range p.edits {
		require.NotContains(t, string(e.after), "canary")
	}
}

func TestPlanFitsAScreen(t *testing.T) {
	var users []string
	for i := range 500 {
		users = append(users, fmt.Sprintf("user%03d:%d", i, 500+i))
	}
	for _, target := range []*Host{withUsers(false, "first:1000"), withUsers(false, users...)} {
		s := Merge(withUsers(true, users...), target, nil).String()
		require.LessOrEqual(t, strings.Count(s, "\n"), 24, s)
		for l := range strings.Lines(s) {
			require.Less(t, len(l), 250)
		}
	}
	target := users[:0:0]
	for i := 0; i < 300; i += 10 {
		target = append(target, fmt.Sprintf("user%03d:%d", i, 2000+i), fmt.Sprintf("USER%03d:%d", i+1, 3000+i))
	}
	p := Merge(withUsers(true, users...), withUsers(false, target...), nil)
	s := p.String()
	require.Len(t, p.Conflicts, 60)
	require.LessOrEqual(t, strings.Count(s, "\n"), 24, s)
	require.True(t, strings.HasPrefix(s, "conflicts: 60\n"), s)
	for _, want := range []string{"keep the target's account for it or rename it", "case-twin: 28 more: user021, user031"} {
		require.Contains(t, s, want)
	}
	require.True(t, slices.IsSorted(users))
}
