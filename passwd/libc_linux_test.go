package passwd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// wholeRoot is the lab's target with a shadow line for everybody and a gshadow line for every group.
func wholeRoot(t *testing.T) string {
	t.Helper()
	_, new := labHosts()
	root := rootOf(t, new)
	require.NoError(t, os.Chmod(root, 0o755))
	var shadow, gshadow strings.Builder
	for u := range new.Passwd.Users() {
		fmt.Fprintf(&shadow, "%s:*:20000:0:99999:7:::\n", u.Name)
	}
	for g := range new.Group.Groups() {
		fmt.Fprintf(&gshadow, "%s:*::%s\n", g.Name, strings.Join(g.Members, ","))
	}
	for name, text := range map[string]string{"shadow": shadow.String(), "gshadow": gshadow.String()} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o640))
	}
	return root
}

// mergedRoot is wholeRoot after the merge.
func mergedRoot(t *testing.T) (string, *Plan) {
	t.Helper()
	root := wholeRoot(t)
	old, _ := labHosts()
	new, err := ReadHost(root)
	require.NoError(t, err)
	p := Merge(old, new, nil)
	_, err = p.Apply(context.Background(), root, secretsOf(t, root, p))
	require.NoError(t, err)
	return root, p
}

// TestConvertersChangeNothing asks pwconv and grpconv, which bring the four files in step, whether they are.
func TestConvertersChangeNothing(t *testing.T) {
	oracle.Root(t)
	root, _ := mergedRoot(t)
	files := []string{"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"}
	text := func() (all []string) {
		for _, f := range files {
			all = append(all, read(t, root, f))
		}
		return all
	}
	was := text()
	for _, tool := range []string{"pwconv", "grpconv"} {
		out, err := exec.Command(oracle.Need(t, tool), "-R", root).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, was, text(), tool)
	}
	// They are awake: a user without shadow line gets one.
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/shadow"), []byte(strings.Replace(was[1], "\nalice:", "\nalicf:", 1)), 0o640))
	_, err := exec.Command(oracle.Need(t, "pwconv"), "-R", root).CombinedOutput()
	require.NoError(t, err)
	require.NotEqual(t, was, text())
}

// TestEveryPrefixPassesTheCheckers makes each state that a crash can leave and asks pwck and grpck: nothing is wrong
// but that shadow, gshadow and member lists know those who come, and passwd or group does not yet.
func TestEveryPrefixPassesTheCheckers(t *testing.T) {
	oracle.Root(t)
	old, new := labHosts()
	whole := wholeRoot(t)
	before := slices.Concat(complaints(t, "pwck", whole), complaints(t, "grpck", whole))
	p := Merge(old, new, nil)
	coming := []string{"no matching ", "projects"}
	for u := range p.Migrated() {
		coming = append(coming, u.To)
	}
	for n := range 5 {
		root := wholeRoot(t)
		changes, err := p.changes([]Edits{secretsOf(t, root, p)})
		require.NoError(t, err)
		require.Len(t, changes, 4)
		for _, c := range changes[:n] {
			require.NoError(t, os.WriteFile(filepath.Join(root, c.Name), c.After, 0o644))
		}
		for _, line := range slices.Concat(complaints(t, "pwck", root), complaints(t, "grpck", root)) {
			spare := n < len(changes) && !strings.Contains(line, "invalid") && slices.ContainsFunc(coming, func(name string) bool { return strings.Contains(line, name) })
			require.True(t, spare || slices.Contains(before, line), "after %d renames: %s", n, line)
		}
	}
}

// TestLibcSeesThePeople asks libc, with the merged files in the place of this machine's, for what logins use.
func TestLibcSeesThePeople(t *testing.T) {
	oracle.Root(t)
	python, unshare, getent := oracle.Need(t, "python3"), oracle.Need(t, "unshare"), oracle.Need(t, "getent")
	root, p := mergedRoot(t)
	nss := filepath.Join(t.TempDir(), "nsswitch.conf")
	require.NoError(t, os.WriteFile(nss, []byte("passwd: files\ngroup: files\nshadow: files\ngshadow: files\n"), 0o644))
	within := func(args ...string) []byte {
		script := `for f in passwd group shadow gshadow; do mount --bind "$1/etc/$f" /etc/$f || exit 90; done
			[ ! -e /etc/nsswitch.conf ] || mount --bind "$2" /etc/nsswitch.conf || exit 90
			shift 2; exec "$@"`
		out, err := exec.Command(unshare, append([]string{"-m", "sh", "-c", script, "sh", root, nss}, args...)...).Output()
		if exit := (*exec.ExitError)(nil); err != nil {
			require.ErrorAs(t, err, &exit)
			if exit.ExitCode() == 90 {
				t.Skip("no private mounts here")
			}
			require.NoError(t, err, string(exit.Stderr))
		}
		return out
	}
	var names []string
	for u := range p.Migrated() {
		names = append(names, u.To)
	}
	require.NotEmpty(t, names)
	type person struct {
		UID, GID    uint32
		Home, Group string
		Groups      []uint32
	}
	var got map[string]person
	require.NoError(t, json.Unmarshal(within(append([]string{python, "-c", `
import grp, json, os, pwd, sys
out = {}
for name in sys.argv[1:]:
    u = pwd.getpwnam(name)
    assert pwd.getpwuid(u.pw_uid).pw_name == name
    out[name] = {"UID": u.pw_uid, "GID": u.pw_gid, "Home": u.pw_dir, "Group": grp.getgrgid(u.pw_gid).gr_name, "Groups": sorted(os.getgrouplist(name, u.pw_gid))}
print(json.dumps(out))`}, names...)...), &got))
	host, err := ReadHost(root)
	require.NoError(t, err)
	for u := range p.Migrated() {
		want := person{UID: u.ToUID, GID: u.ToGID, Home: u.ToHome, Group: u.To, Groups: []uint32{u.ToGID}}
		for g := range host.Group.Groups() {
			if slices.Contains(g.Members, u.To) {
				want.Groups = append(want.Groups, g.GID)
			}
		}
		slices.Sort(want.Groups)
		require.Equal(t, want, got[u.To], u.To)
		require.Equal(t, u.To+":!:20000:0:99999:7:::\n", string(within(getent, "shadow", u.To)))
	}
	require.Len(t, got["alice"].Groups, 2, "her own and projects")
	require.Equal(t, "projects:!::alice,bob\n", string(within(getent, "gshadow", "projects")))
}
