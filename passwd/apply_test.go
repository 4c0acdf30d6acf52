package passwd

import (
	"context"
	"encoding/json"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailmove/mailmove/internal/lockfile"
	"github.com/stretchr/testify/require"
)

// further is what another package would add to the commit.
type further map[string][2][]byte

func (f further) Edits() iter.Seq2[string, [2][]byte] {
	return func(yield func(string, [2][]byte) bool) {
		for name, text := range f {
			if !yield(name, text) {
				return
			}
		}
	}
}

const (
	shadowText  = "root:*:20000:0:99999:7:::\n"
	gshadowText = "root:*::\n"
)

// rootOf writes the files of a host below a new directory.
func rootOf(t *testing.T, h *Host) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	put := func(name string, data []byte, mode fs.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), data, 0o600))
		require.NoError(t, os.Chmod(filepath.Join(root, name), mode))
		past := time.Date(2009, 2, 13, 23, 31, 30, 0, time.UTC)
		require.NoError(t, os.Chtimes(filepath.Join(root, name), past, past))
	}
	put("etc/passwd", h.Passwd.Bytes(), 0o644)
	put("etc/group", h.Group.Bytes(), 0o644)
	put("etc/login.defs", []byte(newDefs), 0o644)
	put("etc/shadow", []byte(shadowText), 0o640)
	put("etc/gshadow", []byte(gshadowText), 0o640)
	return root
}

// secrets is a stand-in for the plan of package shadow: locked entries for everybody who comes.
func secrets(p *Plan) further {
	shadow, gshadow := shadowText, gshadowText
	for _, u := range p.Users {
		if u.Action == ActionAdd || u.Action == ActionRenumber {
			shadow += u.To + ":!:20000:0:99999:7:::\n"
		}
	}
	for _, g := range p.Groups {
		if g.Action == ActionAdd || g.Action == ActionRenumber {
			gshadow += g.To + ":!::" + strings.Join(g.MembersAdded, ",") + "\n"
		}
	}
	return further{"etc/shadow": {[]byte(shadowText), []byte(shadow)}, "etc/gshadow": {[]byte(gshadowText), []byte(gshadow)}}
}

// tree maps every file below root to mode, time and content.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = info.Mode().String() + " " + info.ModTime().UTC().Format(time.RFC3339Nano) + "\n" + string(data)
		return err
	}))
	return out
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(data)
}

// requireSound has Apply's own checks look at the edits of a plan.
func requireSound(t *testing.T, p *Plan) {
	t.Helper()
	_, err := p.changes(nil)
	require.NoError(t, err)
}

func TestApplyVerifyRevert(t *testing.T) {
	ctx := context.Background()
	old, new := labHosts()
	root := rootOf(t, new)
	host, err := ReadHost(root)
	require.NoError(t, err)
	before := tree(t, root)
	p := Merge(old, host, nil)
	more := secrets(p)
	require.Error(t, p.Verify(ctx, root), "nothing is done yet")

	receipt, err := p.Apply(ctx, root, more)
	require.NoError(t, err)
	require.NoError(t, p.Verify(ctx, root))
	var names []string
	for _, f := range receipt.Files {
		names = append(names, f.Name)
	}
	require.Equal(t, []string{"etc/gshadow", "etc/group", "etc/shadow", "etc/passwd"}, names)
	after := tree(t, root)
	for _, n := range names {
		require.Equal(t, before[n], after[n+"-"], "the backup is the old file, mode and time included")
		require.Equal(t, before[n][:10], after[n][:10], "the mode stays")
	}
	require.Equal(t, before["etc/login.defs"], after["etc/login.defs"])
	require.Len(t, after, len(before)+len(names)+1, "nothing else is new but .pwd.lock")
	require.Contains(t, after, "etc/.pwd.lock")

	again, err := p.Apply(ctx, root, more)
	require.NoError(t, err)
	require.Equal(t, receipt, again)
	require.Equal(t, after, tree(t, root), "a second time nothing is touched")

	stored, err := json.Marshal(receipt)
	require.NoError(t, err)
	var loaded Receipt
	require.NoError(t, json.Unmarshal(stored, &loaded))
	require.NoError(t, Revert(ctx, root, &loaded))
	for _, n := range names {
		require.Equal(t, strings.SplitN(before[n], "\n", 2)[1], read(t, root, n))
	}
	reverted := tree(t, root)
	require.NoError(t, Revert(ctx, root, &loaded))
	require.Equal(t, reverted, tree(t, root))
}

func TestApplyOfNothingTouchesNothing(t *testing.T) {
	old, new := withUsers(true, "dave:1002"), withUsers(false, "dave:1002")
	root := rootOf(t, new)
	before := tree(t, root)
	p := Merge(old, new, nil)
	receipt, err := p.Apply(context.Background(), root)
	require.NoError(t, err)
	require.Empty(t, receipt.Files)
	require.NotNil(t, receipt.Files)
	require.Equal(t, before, tree(t, root))
	info, err := os.Stat(filepath.Join(root, "etc"))
	require.NoError(t, err)
	_, err = p.Apply(context.Background(), root, further{"etc/shadow": {[]byte(shadowText), []byte(shadowText)}})
	require.NoError(t, err)
	now, err := os.Stat(filepath.Join(root, "etc"))
	require.NoError(t, err)
	require.Equal(t, info.ModTime(), now.ModTime(), "no lock either")
}

func TestApplyRefuses(t *testing.T) {
	ctx := context.Background()
	old := withUsers(true, "alice:500")
	short := &Options{LockTimeout: 10 * time.Millisecond}
	cases := []struct {
		name string
		new  *Host
		more further
		prep func(t *testing.T, root string)
		is   error
		says string
	}{
		{name: "conflicts", new: withUsers(false, "alice:1000"), is: ErrConflict, says: "same-name-different-uid alice"},
		{name: "drift", new: withUsers(false), is: ErrDrift, says: "etc/group", prep: func(t *testing.T, root string) {
			require.NoError(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte(newGroups+"late:x:1000:\n"), 0o644))
		}},
		{name: "drift of another plan", new: withUsers(false), is: ErrDrift, more: further{"etc/shadow": {[]byte("x\n"), []byte("x\ny\n")}}, says: "etc/shadow"},
		{name: "an empty file", new: withUsers(false), is: ErrValue, more: further{"etc/shadow": {[]byte(shadowText), nil}}, says: "etc/shadow"},
		{name: "two plans for a file", new: withUsers(false), more: further{"etc/passwd": {nil, []byte("x\n")}}, says: "two plans"},
		{name: "a stray file", new: withUsers(false), more: further{"etc/hosts": {nil, []byte("x\n")}}, says: "etc/hosts"},
		{name: "a symbolic link", new: withUsers(false), says: "etc/passwd", prep: func(t *testing.T, root string) {
			require.NoError(t, os.Rename(filepath.Join(root, "etc/passwd"), filepath.Join(root, "etc/real")))
			require.NoError(t, os.Symlink("real", filepath.Join(root, "etc/passwd")))
		}},
		{name: "a file that is gone", new: withUsers(false), is: ErrDrift, says: "etc/passwd", prep: func(t *testing.T, root string) {
			require.NoError(t, os.Remove(filepath.Join(root, "etc/passwd")))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := rootOf(t, c.new)
			if c.prep != nil {
				c.prep(t, root)
			}
			before := tree(t, root)
			_, err := Merge(old, c.new, short).Apply(ctx, root, c.more)
			require.ErrorContains(t, err, c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			after := tree(t, root)
			delete(after, "etc/.pwd.lock")
			require.Equal(t, before, after)
		})
	}
}

func TestApplyWaitsForLocksOnlySoLong(t *testing.T) {
	ctx := context.Background()
	new := withUsers(false)
	root := rootOf(t, new)
	r, err := os.OpenRoot(root)
	require.NoError(t, err)
	defer r.Close()
	lock, err := lockfile.Passwd(ctx, r, 0)
	require.NoError(t, err)
	before := tree(t, root)
	p := Merge(withUsers(true, "alice:500"), new, &Options{LockTimeout: 10 * time.Millisecond})
	_, err = p.Apply(ctx, root)
	require.ErrorIs(t, err, ErrLocked)
	require.Equal(t, before, tree(t, root))
	require.NoError(t, lock.Unlock())
	_, err = p.Apply(ctx, root)
	require.NoError(t, err)
}

// A plan that went through JSON has lost its texts. It must not pass for one without changes.
func TestPlanFromJSON(t *testing.T) {
	ctx := context.Background()
	new := withUsers(false)
	root := rootOf(t, new)
	before := tree(t, root)
	p := Merge(withUsers(true, "alice:500"), new, nil)
	data, err := json.Marshal(p)
	require.NoError(t, err)
	var loaded Plan
	require.NoError(t, json.Unmarshal(data, &loaded))
	receipt, err := loaded.Apply(ctx, root)
	require.ErrorContains(t, err, "merge again")
	require.Nil(t, receipt)
	require.ErrorContains(t, loaded.Verify(ctx, root), "merge again")
	names := []string{}
	for name, text := range loaded.Edits() {
		names = append(names, name)
		require.Equal(t, [2][]byte{}, text)
	}
	require.Equal(t, p.Changed, names)
	other := Merge(withUsers(true), new, nil)
	require.Empty(t, other.Changed)
	_, err = other.Apply(ctx, root, &loaded)
	require.ErrorContains(t, err, "merge again")
	require.Equal(t, before, tree(t, root))
}

func TestNewFiles(t *testing.T) {
	ctx := context.Background()
	for groups, want := range map[string]fs.FileMode{
		newGroups:                      0,
		newGroups + "shadow:x:42:\n":   0o640,
		newGroups + "shadow:x:1042:\n": 0, // people
	} {
		if os.Geteuid() != 0 {
			want = 0o600
		}
		new := hostOf(newSystem, groups, newDefs)
		root := rootOf(t, new)
		require.NoError(t, os.Remove(filepath.Join(root, "etc/shadow")))
		p := Merge(withUsers(true, "alice:500"), new, nil)
		more := further{"etc/shadow": {nil, []byte("alice:!:::::::\n")}}
		receipt, err := p.Apply(ctx, root, more)
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(root, "etc/shadow"))
		require.NoError(t, err)
		require.Equal(t, want, info.Mode())
		again, err := p.Apply(ctx, root, more)
		require.NoError(t, err)
		require.Equal(t, receipt, again)
		require.NoError(t, Revert(ctx, root, receipt))
		require.NoFileExists(t, filepath.Join(root, "etc/shadow"))
	}
}

func TestRevertRefuses(t *testing.T) {
	ctx := context.Background()
	new := withUsers(false)
	for _, name := range []string{"etc/passwd", "etc/passwd-", "etc/group-"} {
		root := rootOf(t, new)
		p := Merge(withUsers(true, "alice:500"), new, nil)
		receipt, err := p.Apply(ctx, root)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte("other\n"), 0o644))
		before := tree(t, root)
		require.ErrorIs(t, Revert(ctx, root, receipt), ErrDrift, name)
		require.Equal(t, before, tree(t, root), name)
	}
	root := rootOf(t, new)
	require.Error(t, Revert(ctx, root, &Receipt{Version: 2}))
	require.Error(t, Revert(ctx, root, &Receipt{Version: 1, Files: []FileReceipt{{Name: "etc/hosts"}}}))
}

func TestVerifyListsWhatIsNotSo(t *testing.T) {
	ctx := context.Background()
	old := hostOf(oldSystem+"alice:x:500:500::/home/alice:/bin/sh\nbob:x:501:501::/home/bob:/bin/sh\n", oldGroups+"alice:x:500:\nbob:x:501:\nteam:x:600:alice,bob\n", oldDefs)
	new := withUsers(false)
	root := rootOf(t, new)
	p := Merge(old, new, nil)
	_, err := p.Apply(ctx, root)
	require.NoError(t, err)
	require.NoError(t, p.Verify(ctx, root))
	edit := func(name, from, to string) {
		text := read(t, root, name)
		require.Contains(t, text, from)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(strings.Replace(text, from, to, 1)), 0o644))
	}
	edit("etc/passwd", "alice:x:1000:1000:", "alice:x:1000:1001:")
	edit("etc/passwd", "/home/bob", "/home/rob")
	edit("etc/passwd", "root:", "eve:x:1001:1:::\nroot:")
	edit("etc/group", "team:x:1100:alice,bob", "team:x:1101:alice")
	err = p.Verify(ctx, root)
	for _, want := range []string{
		`account "alice" has 1000:1001, want 1000:1000`, `home "/home/rob", want "/home/bob"`, `"eve" has uid 1001`, `gid 1101, want 1100`, `lacks member "bob"`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestReadHostErrors(t *testing.T) {
	root := rootOf(t, withUsers(false))
	h, err := ReadHost(root)
	require.NoError(t, err)
	require.True(t, h.Shadow)
	require.Nil(t, h.SubUID)
	require.NoError(t, os.Remove(filepath.Join(root, "etc/group")))
	require.NoError(t, os.Remove(filepath.Join(root, "etc/login.defs")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc/login.defs"), 0o755))
	_, err = ReadHost(root)
	var path *fs.PathError
	require.ErrorAs(t, err, &path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "etc/login.defs")
	_, err = ReadHost(filepath.Join(root, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	link := filepath.Join(t.TempDir(), "link")
	good := rootOf(t, withUsers(false))
	require.NoError(t, os.Symlink(good, link))
	_, err = ReadHost(link)
	require.NoError(t, err, "the root itself may be a link")
	require.NoError(t, os.Rename(filepath.Join(good, "etc/passwd"), filepath.Join(good, "etc/p")))
	require.NoError(t, os.Symlink("p", filepath.Join(good, "etc/passwd")))
	_, err = ReadHost(good)
	require.ErrorAs(t, err, &path)
}
