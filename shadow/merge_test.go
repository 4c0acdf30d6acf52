package shadow_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

const (
	targetShadow  = "root:*:19000:0:99999:7:::\nubuntu:!:19000:0:99999:7:::\n"
	targetGshadow = "root:*::\nsudo:*::ubuntu\nadm:*::a,,b\n"
)

func TestMergeShadow(t *testing.T) {
	h := md5Hash
	for _, c := range []struct {
		name, old, passwd string // passwd: the old password field of u
		target            string
		want              string // added at the end of the target
		warnings          []string
	}{
		{"nine fields verbatim", "u:" + h + ":14700:0:99999:7:14:20000:0\n", "x", "", "u:" + h + ":14700:0:99999:7:14:20000:0\n", nil},
		{"leading zeros stay", "u:" + h + ":014700:00:99999::::\n", "x", "", "u:" + h + ":014700:00:99999::::\n", nil},
		{"locked stays locked", "u:!!" + h + ":14700:0:99999:7:::\n", "x", "", "u:!!" + h + ":14700:0:99999:7:::\n", []string{"locked"}},
		{"never set", "u:!!:14700:0:99999:7:::\n", "x", "", "u:!!:14700:0:99999:7:::\n", []string{"locked"}},
		{"empty password", "u::14700:0:99999:7:::\n", "x", "", "u::14700:0:99999:7:::\n", []string{"empty-password"}},
		{"no line", "v:x:::::::\n", "x", "", "u:!:::::::\n", []string{"no-shadow-line", "locked"}},
		{"eight fields", "u:" + h + ":14700:0:99999:7::\n", "x", "", "u:!:::::::\n", []string{"malformed-line", "locked"}},
		{"eight fields, expiry set", "u:" + h + ":14700:0:99999:7::99999\n", "x", "", "u:" + h + ":14700:0:99999:7::99999:\n", []string{"expanded"}},
		{"five fields", "u:" + h + ":14700:0:99999\n", "x", "", "u:" + h + ":14700:0:99999::::\n", []string{"expanded"}},
		{"CRLF", "u:" + h + ":14700:0:99999:7:::\r\n", "x", "", "u:" + h + ":14700:0:99999:7:::\n", []string{"crlf"}},
		{"CRLF at the end of the file", "u:" + h + ":14700:0:99999:7:::\r", "x", "", "u:" + h + ":14700:0:99999:7:::\n", []string{"crlf"}},
		{"CRLF and eight fields", "u:" + h + ":14700:0:99999:7::\r\n", "x", "", "u:!:::::::\n", []string{"malformed-line", "locked"}},
		{"signs and blanks", "u:" + h + ":+14700: 0:99999:7:::\n", "x", "", "u:" + h + ":14700:0:99999:7:::\n", []string{"number-form", "number-form"}},
		{"blanks before the name", "  u:" + h + ":14700::::::\n", "x", "", "u:" + h + ":14700::::::\n", []string{"leading-space"}},
		{"first readable line", "u:a:1\nu:" + h + ":14700::::::\nu:z:::::::\n", "x", "", "u:" + h + ":14700::::::\n", []string{"field-count", "duplicate-name"}},
		{"NUL in the line", "u:" + h + ":14700:\x00:::::\n", "x", "", "u:!:::::::\n", []string{"no-shadow-line", "locked", "nul"}},
		{"hash in passwd, no line", "", h, "", "u:" + h + ":::::::\n", []string{"moved-from-passwd"}},
		{"hash in passwd, x in shadow", "u:x:14700:0:99999:7:::\n", h, "", "u:" + h + ":14700:0:99999:7:::\n", []string{"moved-from-passwd"}},
		{"hash in passwd and in shadow", "u:" + sha512Hash + ":14700:0:99999:7:::\n", h, "", "u:" + h + ":14700:0:99999:7:::\n", []string{"moved-from-passwd"}},
		{"hash in passwd, eight fields", "u:z:14700:0:99999:7::\n", h, "", "u:" + h + ":::::::\n", []string{"moved-from-passwd", "malformed-line"}},
		{"locked in passwd", "u:" + h + ":14700::::::\n", "*", "", "u:!" + h + ":14700::::::\n", []string{"locked-in-passwd", "locked"}},
		{"empty in passwd", "u:" + h + ":14700::::::\n", "", "", "u:" + h + ":14700::::::\n", nil},
		{"## convention", "u:" + h + ":14700::::::\n", "##u", "", "u:" + h + ":14700::::::\n", nil},
		{"control character", "u:\x01:14700::::::\n", "x", "", "u:!:::::::\n", []string{"unwritable", "locked", "control"}},
		{"present", "u:" + h + ":14700::::::\n", "x", "u:" + h + ":14700::::::\n", "", nil},
		{"different", "u:" + h + ":14700::::::\n", "x", "u:" + sha512Hash + ":14701::::::\n", "", []string{"differs"}},
		{"missing newline", "u:" + h + ":14700::::::\n", "x", "a:!:::::::", "\nu:" + h + ":14700::::::\n", []string{"no-newline"}},
		{"comment on the target", "u:" + h + ":14700::::::\n", "x", "# c\n", "u:" + h + ":14700::::::\n", []string{"lost-later"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := host(targetShadow+c.target, targetGshadow)
			opt := &shadow.Options{Users: users("u"), Password: func(string) string { return c.passwd }}
			old := host(c.old, "")
			plan := shadow.Merge(old, target, opt)
			require.Empty(t, plan.Conflicts)
			require.Equal(t, append([]string{}, c.warnings...), kinds(plan.Warnings))
			got := apply(t, target, plan)
			require.True(t, targetShadow+c.target+c.want == string(got.Shadow.Bytes()), "got %v", got.Shadow.Problems())
			require.Equal(t, targetShadow+c.target, string(target.Shadow.Bytes()), "Merge changes none of its arguments")
			again := shadow.Merge(old, got, opt)
			require.Empty(t, again.Changed)
			require.Empty(t, again.Conflicts)
			for range again.Edits() {
				require.Fail(t, "an edit in the second run")
			}
			require.NoError(t, plan.Verify(context.Background(), write(t, got, nil)))
			if len(plan.Changed) > 0 {
				require.ErrorIs(t, plan.Verify(context.Background(), write(t, target, nil)), shadow.ErrNotFound)
			}
		})
	}
}

func TestMergeConflicts(t *testing.T) {
	old := host("u:"+md5Hash+":14700::::::\nv:x:::::::\n", "g:!::\n")
	opt := func() *shadow.Options {
		return &shadow.Options{Users: users("u"), Groups: users("g"), Members: map[string][]string{"g": {"u"}}}
	}
	for _, c := range []struct {
		name, shadow, gshadow string
		change                func(*shadow.Options)
		kind, at              string
	}{
		{"all CRLF", "root:*:19000:0:99999:7:::\r\nv:x:::::::\r\n", targetGshadow, nil, "crlf", "etc/shadow:1"},
		{"NUL", "root:*:::::::\n#\x00\n", targetGshadow, nil, "nul", "etc/shadow:2"},
		{"NUL in gshadow", targetShadow, "x:\x00::\n", nil, "nul", "etc/gshadow:1"},
		{"hidden line of that name", targetShadow + "u:x:1:2:3:4\n", targetGshadow, nil, "malformed-target", "etc/shadow:3"},
		{"five fields in gshadow", targetShadow, targetGshadow + "g:!:::x\n", nil, "malformed-target", "etc/gshadow:4"},
		{"five fields in gshadow, to join", targetShadow, targetGshadow + "j:!:::x\n", func(o *shadow.Options) { o.Members["j"] = []string{"u"} }, "malformed-target", "etc/gshadow:4"},
		{"two of one name", targetShadow, targetGshadow, func(o *shadow.Options) { o.Users = users("u=w", "v=w") }, "twice", "etc/shadow:2"},
		{"two groups of one name", targetShadow, targetGshadow, func(o *shadow.Options) { o.Groups = users("g", "h=g") }, "twice", "etc/gshadow"},
		{"bad name", targetShadow, targetGshadow, func(o *shadow.Options) { o.Users = users("u=a:b") }, "bad-name", "etc/shadow:1"},
		{"bad member", targetShadow, targetGshadow, func(o *shadow.Options) { o.Members["g"] = []string{"a,b"} }, "bad-name", "etc/gshadow:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := opt()
			if c.change != nil {
				c.change(o)
			}
			plan := shadow.Merge(old, host(c.shadow, c.gshadow), o)
			require.Equal(t, []string{c.kind}, kinds(plan.Conflicts))
			require.Equal(t, c.at, plan.Conflicts[0].At)
			require.Empty(t, plan.Changed)
			requireRefused(t, plan)
			require.Error(t, plan.Verify(context.Background(), t.TempDir()))
		})
	}
}

// requireRefused says that a plan hands out no content, and nothing that passes for a plan without changes.
func requireRefused(t *testing.T, plan *shadow.Plan) {
	t.Helper()
	n := 0
	for name, text := range plan.Edits() {
		require.Equal(t, "etc/shadow", name)
		require.True(t, text[0] == nil && text[1] == nil, "an edit beside a conflict")
		n++
	}
	require.Equal(t, 1, n)
}

func TestPlanFromJSON(t *testing.T) {
	plan := shadow.Merge(host("u:x:::::::\n", ""), host(targetShadow, ""), &shadow.Options{Users: users("u")})
	require.NotEmpty(t, plan.Changed)
	data, err := json.Marshal(plan)
	require.NoError(t, err)
	var loaded shadow.Plan
	require.NoError(t, json.Unmarshal(data, &loaded))
	requireRefused(t, &loaded)
	require.Error(t, loaded.Verify(context.Background(), t.TempDir()))
}

func TestMergeGroups(t *testing.T) {
	oldShadow := "alice:" + md5Hash + ":14700::::::\nbob:" + sha512Hash + ":14700::::::\ncarol:" + sha512Hash[:20] + "x:1::::::\n"
	old := host(oldShadow, "alice:::\ndev:"+md5Hash+":alice,ghost,carol,root,bob:alice,bob\nmalformed:!:a:b:c\n")
	target := host(targetShadow+"carol:!:9::::::\nbob:"+sha512Hash+":14700::::::\n", targetGshadow)
	opt := &shadow.Options{
		Users:   users("alice=alice2"),
		Groups:  users("alice=alice2", "dev", "new", "malformed"),
		Members: map[string][]string{"dev": {"alice2", "bob", "alice2"}, "sudo": {"alice2"}, "adm": {"b", "alice2"}, "gone": {"alice2"}},
	}
	plan := shadow.Merge(old, target, opt)
	require.Empty(t, plan.Conflicts)
	require.Equal(t, []string{"etc/gshadow", "etc/shadow"}, plan.Changed)
	got := apply(t, target, plan)
	want := "root:*::\nsudo:*::ubuntu,alice2\nadm:*::a,,b,alice2\nalice2:!::\ndev:!:alice2,root,bob:alice2,bob\nnew:!::\nmalformed:!::\n"
	require.Equal(t, want, string(got.Group.Bytes()))
	require.Equal(t, []string{"group-password", "admin-dropped", "admin-dropped", "malformed-line", "no-gshadow-line"}, kinds(plan.Warnings))
	require.NoError(t, plan.Verify(context.Background(), write(t, got, nil)))
	require.Empty(t, shadow.Merge(old, got, opt).Changed)

	opt.GroupPasswords = true
	got = apply(t, target, shadow.Merge(old, target, opt))
	g, _ := got.Group.Lookup("dev")
	require.True(t, g.Hash.Reveal() == md5Hash)
	g, _ = got.Group.Lookup("alice2")
	require.Empty(t, g.Hash.Reveal(), "an empty password stays empty")

	standing := host(targetShadow, "dev:::mallory\n")
	plan = shadow.Merge(old, standing, &shadow.Options{Groups: users("dev"), Members: map[string][]string{"dev": {"alice"}}})
	require.Contains(t, kinds(plan.Warnings), "differs")
	require.Equal(t, "dev:::mallory,alice\n", string(apply(t, standing, plan).Group.Bytes()))
}

func TestMergeWithoutFiles(t *testing.T) {
	old := host("u:"+md5Hash+":14700::::::\n", "g:!::\n")
	opt := &shadow.Options{Users: users("u"), Groups: users("g"), Members: map[string][]string{"g": {"u"}}}
	plan := shadow.Merge(old, &shadow.Host{}, opt)
	require.Empty(t, plan.Changed, "no file is created")
	require.Equal(t, []string{"no-target-file", "no-target-file"}, kinds(plan.Warnings))
	require.NoError(t, plan.Verify(context.Background(), t.TempDir()))

	plan = shadow.Merge(&shadow.Host{}, host(targetShadow, targetGshadow), opt)
	require.Equal(t, []string{"no-shadow-line", "locked"}, kinds(plan.Warnings))
	require.Empty(t, shadow.Merge(nil, nil, nil).Changed)
}

func TestPlanJSON(t *testing.T) {
	empty, err := json.Marshal(shadow.Merge(nil, nil, nil))
	require.NoError(t, err)
	require.JSONEq(t, `{"version":1,"hashes":[],"conflicts":[],"warnings":[],"changed":[]}`, string(empty))
	plan := shadow.Merge(host("u:!"+md5Hash+":14700:0:90::::\n", ""), host(targetShadow, ""), &shadow.Options{
		Users: users("u"), Libcrypt: shadow.Glibc, Today: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	got, err := json.Marshal(plan)
	require.NoError(t, err)
	require.JSONEq(t, `{"version":1,"hashes":[{"name":"u","scheme":"md5crypt","supported":true,"locked":true}],"conflicts":[],
		"warnings":[{"kind":"locked","name":"u","detail":"the password is locked, and stays so","at":"etc/shadow:1"},
		{"kind":"change-forced","name":"u","detail":"the password is 5754 days old and had to be changed after 90","at":"etc/shadow:1"}],
		"changed":["etc/shadow"]}`, string(got))
	require.Equal(t, `shadow: changes etc/shadow
  1 with md5crypt
  warning: etc/shadow:1: u: the password is locked, and stays so
  warning: etc/shadow:1: u: the password is 5754 days old and had to be changed after 90
`, plan.String())
}

func TestAgeing(t *testing.T) {
	today := time.Date(1970, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, 15000)
	for _, c := range []struct {
		fields  string // from the last change on
		want    []string
		undated []string
	}{
		{"::::::", nil, nil},
		{"14990:0:99999:7:::", nil, nil},
		{"0:0:99999:7:::", []string{"change-forced"}, []string{"change-forced"}},
		{"14700:0:90:7:::", []string{"change-forced"}, nil},
		{"14910:0:90:7:::", nil, nil},
		{"14909:0:90:7:::", []string{"change-forced"}, nil},
		{"14700:0:90:7:14::", []string{"locked-out"}, nil},
		{"14900:0:90:7:14::", []string{"change-forced"}, nil},
		{"14900:0:90:7:0::", []string{"locked-out"}, nil},
		{"14700:0:::14::", nil, nil},
		{"15001:0:90:7:::", []string{"future-change"}, nil},
		{"14990:::::0:", []string{"expired"}, []string{"expired"}},
		{"14990:::::15000:", []string{"expired"}, nil},
		{"14990:::::15001:", nil, nil},
		{"14990:5:99999::::", []string{"min-lost"}, []string{"min-lost"}},
	} {
		for _, dated := range []bool{true, false} {
			opt := &shadow.Options{Users: users("u")}
			want := c.undated
			if dated {
				opt.Today, want = today, c.want
			}
			plan := shadow.Merge(host("u:"+md5Hash+":"+c.fields+"\n", ""), host(targetShadow, ""), opt)
			require.Equal(t, append([]string{}, want...), kinds(plan.Warnings), "%s, dated %v", c.fields, dated)
		}
	}
}

func TestSamePerson(t *testing.T) {
	other := strings.Replace(md5Hash, "M55", "M56", 1)
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"equal hash", md5Hash + ":1:2:3::::", md5Hash + ":9::::::", true},
		{"equal hash, locked here", md5Hash + ":1::::::", "!" + md5Hash + ":1::::::", true},
		{"equal hash, locked there", "!!" + md5Hash + ":1::::::", md5Hash + ":1::::::", true},
		{"other hash, all else equal", md5Hash + ":1:2:3::::", other + ":1:2:3::::", false},
		{"hash and none", md5Hash + ":1::::::", "!:1::::::", false},
		{"no hash, all equal", "!!:14700:0:99999:7:::", "!!:14700:0:99999:7:::", true},
		{"no hash, no date", "!::0:99999:7:::", "!::0:99999:7:::", false},
		{"no hash, other date", "!:14700::::::", "!:14701::::::", false},
		{"no hash, other lock", "!:14700::::::", "*:14700::::::", false},
		{"empty, all equal", ":14700::::::", ":14700::::::", true},
		{"unsalted, equal", "$3$$c3f541baf5c46e5169e95691975d12bc:1::::::", "$3$$c3f541baf5c46e5169e95691975d12bc:2::::::", false},
		{"no salt, equal", "$1$$ysVNzQc4CTMkp5daOdZ.3/:1::::::", "$1$$ysVNzQc4CTMkp5daOdZ.3/:2::::::", false},
		{"cut off, equal", md5Hash[:20] + ":1::::::", md5Hash[:20] + ":2::::::", false},
		{"eight fields", md5Hash + ":1:0:9:7::", md5Hash + ":1:0:9:7::", false},
		{"CRLF on the old host", md5Hash + ":1::::::\r", md5Hash + ":1::::::", true},
	} {
		got := shadow.SamePerson(host("old:"+c.a+"\n", ""), host("new:"+c.b+"\n", ""), "old", "new")
		require.Equal(t, c.want, got, c.name)
	}
	passwdOnly := host("", "")
	passwdOnly.Password = func(string) string { return md5Hash }
	require.True(t, shadow.SamePerson(passwdOnly, host("a:"+md5Hash+":::::::\n", ""), "a", "a"), "the hash came from etc/passwd")
	require.False(t, shadow.SamePerson(passwdOnly, host("a:"+other+":::::::\n", ""), "a", "a"))
	passwdOnly.Password = func(string) string { return "*" }
	require.True(t, shadow.SamePerson(passwdOnly, host("a:!:::::::\n", ""), "a", "a"), "what a merge made of it")
	require.False(t, shadow.SamePerson(passwdOnly, host("a:*:::::::\n", ""), "a", "a"))
	require.False(t, shadow.SamePerson(nil, nil, "a", "a"))
	require.False(t, shadow.SamePerson(host("a:"+md5Hash+":1::::::\n", ""), &shadow.Host{}, "a", "a"))
	require.False(t, shadow.SamePerson(host("a:"+md5Hash+":1::::::\n", ""), host("", ""), "a", "a"))
}

// Whatever the old host knows of a user, what a merge makes of it is recognised as him. The one thing that is not: an
// account that was locked without a date there, and in another way than a merge locks.
func TestSamePersonAfterMerge(t *testing.T) {
	for _, c := range shadowLines {
		for _, passwd := range []string{"x", "", "*", md5Hash, "##u"} {
			old, target := host(c.line+"\nv:!:1::::::\n", ""), host(targetShadow, "")
			old.Password = func(name string) string { return map[string]string{"u": passwd}[name] }
			plan := shadow.Merge(old, target, &shadow.Options{Users: users("u=w")})
			if len(plan.Conflicts) > 0 {
				continue
			}
			got := apply(t, target, plan)
			e, ok := got.Shadow.Lookup("w")
			require.True(t, ok)
			known := e.LastChange != "" || e.Hash == shadow.NewSecret("!") || e.Hash.Scheme() == "md5crypt"
			require.Equal(t, known, shadow.SamePerson(old, got, "u", "w"), "%s %v", c.line, e.Hash)
			require.False(t, shadow.SamePerson(old, got, "v", "w"))
		}
	}
	old, target := host("", ""), host(targetShadow, "")
	got := apply(t, target, shadow.Merge(old, target, &shadow.Options{Users: users("u")}))
	require.True(t, shadow.SamePerson(old, got, "u", "u"))
}

func TestReadHost(t *testing.T) {
	h, err := shadow.ReadHost(t.TempDir())
	require.NoError(t, err)
	require.Nil(t, h.Shadow)
	require.Nil(t, h.Group)
	root := write(t, host("a:x:::::::\n", "a:!::\n"), nil)
	h, err = shadow.ReadHost(root)
	require.NoError(t, err)
	_, ok := h.Shadow.Lookup("a")
	require.True(t, ok)
	_, ok = h.Group.Lookup("a")
	require.True(t, ok)
	_, err = shadow.ReadHost(filepath.Join(root, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	if runtime.GOOS == "windows" {
		return // links need rights there
	}
	link := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Symlink(root, link))
	_, err = shadow.ReadHost(link)
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(root, "etc", "shadow"), filepath.Join(root, "etc", "other")))
	require.NoError(t, os.Symlink("other", filepath.Join(root, "etc", "shadow")))
	_, err = shadow.ReadHost(root)
	var pe *fs.PathError
	require.True(t, errors.As(err, &pe), "a symbolic link is refused: %v", err)
}

func TestVerifyPlan(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	old, target := host("u:"+md5Hash+":14700::::::\n", "g:!::\n"), host(targetShadow, targetGshadow)
	plan := shadow.Merge(old, target, &shadow.Options{Users: users("u"), Groups: users("g"), Members: map[string][]string{"g": {"u"}}})
	good := apply(t, target, plan)
	require.NoError(t, plan.Verify(ctx, write(t, good, nil)))
	changed := host(strings.Replace(string(good.Shadow.Bytes()), ":14700:", ":14701:", 1), "g:!::\n")
	err := plan.Verify(ctx, write(t, changed, nil))
	require.ErrorContains(t, err, "etc/shadow:3: u: differs from the plan: last change")
	require.ErrorContains(t, err, "etc/gshadow:1: g: differs from the plan: member u is missing")
	require.ErrorIs(t, plan.Verify(ctx, t.TempDir()), shadow.ErrNotFound)
	require.Error(t, new(shadow.Plan).Verify(ctx, t.TempDir()))
	cancel()
	require.ErrorIs(t, plan.Verify(ctx, write(t, good, nil)), context.Canceled)
}
