//go:build linux

package passwd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

// complaints runs a checker that changes nothing and lists what it says.
func complaints(t *testing.T, tool, root string) []string {
	t.Helper()
	out, _ := exec.Command(oracle.Need(t, tool), "-r", "-R", root).CombinedOutput()
	var list []string
	for l := range strings.Lines(string(out)) {
		if !strings.Contains(l, "does not exist") && !strings.Contains(l, "no changes") && !strings.Contains(l, "directory") && !strings.Contains(l, "program") {
			list = append(list, strings.TrimSpace(l))
		}
	}
	return list
}

// TestRealToolsHaveNoNewComplaints merges into a host that has flaws of its own, and asks pwck, grpck and useradd.
func TestRealToolsHaveNoNewComplaints(t *testing.T) {
	oracle.Root(t)
	old, lab := labHosts()
	flawed := hostOf(string(lab.Passwd.Bytes())+"# comment\n\nnine:x:999:999:a:b:c:d\n+@ng::::::\n", string(lab.Group.Bytes())+"five:x:998:a:b\nlast:x:997:ghost", newDefs)
	for name, new := range map[string]*Host{"clean": lab, "flawed": flawed} {
		t.Run(name, func(t *testing.T) {
			root := rootOf(t, new)
			require.NoError(t, os.Chmod(root, 0o755))
			before := slices.Concat(complaints(t, "pwck", root), complaints(t, "grpck", root))
			host, err := ReadHost(root)
			require.NoError(t, err)
			p := Merge(old, host, nil)
			require.Empty(t, p.Conflicts)
			_, err = p.Apply(context.Background(), root, secrets(p))
			require.NoError(t, err)
			require.NoError(t, p.Verify(context.Background(), root))
			for _, c := range slices.Concat(complaints(t, "pwck", root), complaints(t, "grpck", root)) {
				require.Contains(t, before, c)
			}
			if name == "clean" {
				requireUseradd(t, root, p)
			}
		})
	}
}

// TestGroupsWithoutGshadow asks grpck about groups that have no gshadow to point to.
func TestGroupsWithoutGshadow(t *testing.T) {
	oracle.Root(t)
	old, new := labHosts()
	root := rootOf(t, new)
	require.NoError(t, os.Remove(filepath.Join(root, "etc/gshadow")))
	before := complaints(t, "grpck", root)
	host, err := ReadHost(root)
	require.NoError(t, err)
	require.False(t, host.GShadow)
	p := Merge(old, host, nil)
	more := secrets(p)
	delete(more, "etc/gshadow")
	_, err = p.Apply(context.Background(), root, more)
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(root, "etc/gshadow"))
	require.Contains(t, read(t, root, "etc/group"), "\nalice:*:1003:\n")
	for _, c := range complaints(t, "grpck", root) {
		require.Contains(t, before, c)
	}
}

// requireUseradd says that the real useradd works on the result, gives none of our ids again and leaves our lines alone.
func requireUseradd(t *testing.T, root string, p *Plan) {
	t.Helper()
	text := read(t, root, "etc/passwd")
	out, err := exec.Command(oracle.Need(t, "useradd"), "-R", root, "-M", "-U", "probe").CombinedOutput()
	require.NoError(t, err, string(out))
	after := read(t, root, "etc/passwd")
	require.True(t, strings.HasPrefix(after, text))
	u, ok := Parse("etc/passwd", []byte(after)).Lookup("probe")
	require.True(t, ok)
	for m := range p.Migrated() {
		require.NotEqual(t, m.ToUID, u.UID)
		require.NotEqual(t, m.ToGID, u.GID)
	}
	require.NoError(t, p.Verify(context.Background(), root))
}

// TestLibcSeesWhatWeSee asks getent, in a root of the test's own, what it finds for each case of the parser tables.
func TestLibcSeesWhatWeSee(t *testing.T) {
	oracle.Root(t)
	getent, chroot := oracle.Need(t, "getent"), oracle.Need(t, "unshare")
	for _, c := range parseCases {
		if strings.Contains(c.kinds, "n") || c.name == "eight fields are" {
			continue // compat lines have rules of their own; putpwent(3), by which getent prints, refuses a colon in the shell
		}
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "passwd")
			require.NoError(t, os.WriteFile(file, []byte(c.src), 0o644))
			nss := filepath.Join(t.TempDir(), "nsswitch.conf")
			require.NoError(t, os.WriteFile(nss, []byte("passwd: files\n"), 0o644))
			script := `mount --bind "$1" /etc/passwd && { [ ! -e /etc/nsswitch.conf ] || mount --bind "$2" /etc/nsswitch.conf; } && exec "$3" passwd`
			out, err := exec.Command(chroot, "-m", "sh", "-c", script, "sh", file, nss, getent).Output()
			if err != nil {
				t.Skipf("no private mounts here: %v", err)
			}
			f := Parse("p", []byte(c.src))
			var want []string
			for i, r := range f.rows {
				if r.kind != Entry && r.kind != Visible {
					continue
				}
				for _, u := range f.at {
					if u == i {
						want = append(want, f.entries[slices.Index(f.at, i)].Name)
					}
				}
				for _, h := range f.hidden {
					if h.row == i {
						want = append(want, h.name)
					}
				}
			}
			var got []string
			for l := range strings.Lines(string(out)) {
				got = append(got, strings.SplitN(l, ":", 2)[0])
			}
			require.Equal(t, want, got)
		})
	}
}
