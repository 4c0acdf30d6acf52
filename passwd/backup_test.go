package passwd

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sets lists the backup sets of a directory.
func sets(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	return list
}

func TestBackupSet(t *testing.T) {
	ctx := context.Background()
	old, new := labHosts()
	root, dir := rootOf(t, new), filepath.Join(t.TempDir(), "backups")
	host, err := ReadHost(root)
	require.NoError(t, err)
	p := Merge(old, host, &Options{BackupDir: dir})
	before := tree(t, root)
	receipt, err := p.Apply(ctx, root, secrets(p))
	require.NoError(t, err)
	require.Equal(t, dir, receipt.BackupDir)
	made := sets(t, dir)
	require.Len(t, made, 1)
	_, err = time.Parse("20060102T150405Z", filepath.Base(made[0]))
	require.NoError(t, err)
	info, err := os.Stat(made[0])
	require.NoError(t, err)
	var m manifest
	require.NoError(t, json.Unmarshal([]byte(read(t, made[0], manifestName)), &m))
	require.Len(t, m.Files, 4)
	for i, f := range m.Files {
		require.Equal(t, receipt.Files[i].Name, f.Path)
		require.Equal(t, receipt.Files[i].Before, f.SHA256)
		head, body, _ := strings.Cut(before[f.Path], "\n")
		require.Equal(t, body, read(t, made[0], filepath.Base(f.Path)))
		mode, err := strconv.ParseUint(f.Mode, 8, 32)
		require.NoError(t, err)
		require.Equal(t, head, fs.FileMode(mode).String()+" "+f.MTime.Format(time.RFC3339Nano))
		if runtime.GOOS != "windows" {
			require.Equal(t, os.Geteuid(), f.UID)
			kept, err := os.Stat(filepath.Join(made[0], filepath.Base(f.Path)))
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), kept.Mode())
			require.Equal(t, fs.FileMode(0o700)|fs.ModeDir, info.Mode())
		}
	}

	_, err = p.Apply(ctx, root, secrets(p))
	require.NoError(t, err)
	require.Len(t, sets(t, dir), 1, "what is there already is kept once")

	// The next tool overwrites NAME-; the set knows it still.
	for _, f := range receipt.Files {
		require.NoError(t, os.WriteFile(filepath.Join(root, f.Backup), []byte("of another tool\n"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "99990101T000000Z"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "99990101T000000Z", "passwd"), []byte("not it\n"), 0o600))
	require.NoError(t, Revert(ctx, root, receipt))
	for _, f := range receipt.Files {
		_, body, _ := strings.Cut(before[f.Name], "\n")
		require.Equal(t, body, read(t, root, f.Name))
	}
}

// A set is written for what changes: none for a plan that is not carried out, and of a commit that was cut short only
// the rest.
func TestBackupSetOfARest(t *testing.T) {
	ctx := context.Background()
	old, new := labHosts()
	root, dir := rootOf(t, new), t.TempDir()
	p := Merge(old, new, &Options{BackupDir: dir})
	more := secrets(p)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("drifted\n"), 0o644))
	_, err := p.Apply(ctx, root, more)
	require.ErrorIs(t, err, ErrDrift)
	require.Empty(t, sets(t, dir))

	root = rootOf(t, new)
	require.NoError(t, os.RemoveAll(filepath.Join(root, "etc/passwd-")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc/passwd-"), 0o755))
	_, err = p.Apply(ctx, root, more)
	require.Error(t, err, "no place for etc/passwd-")
	require.Empty(t, sets(t, dir), "nothing was written, so nothing is kept")

	root = rootOf(t, new)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/gshadow"), more["etc/gshadow"][1], 0o600))
	_, err = p.Apply(ctx, root, more)
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(sets(t, dir)[0], "gshadow"))
	require.FileExists(t, filepath.Join(sets(t, dir)[0], "shadow"))

	p = Merge(old, new, &Options{BackupDir: filepath.Join(dir, "no", "parent")})
	root = rootOf(t, new)
	before := tree(t, root)
	_, err = p.Apply(ctx, root, more)
	require.ErrorIs(t, err, fs.ErrNotExist)
	after := tree(t, root)
	delete(after, "etc/.pwd.lock")
	require.Equal(t, before, after, "no backup, no change")
}

func TestTwoSetsInOneSecond(t *testing.T) {
	dir, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	for _, want := range []string{"d", "d-2", "d-3"} {
		got, err := makeSet(dir, "d")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestCachesAreTold(t *testing.T) {
	ctx := context.Background()
	tool, live := runTool, liveRoot
	defer func() { runTool, liveRoot = tool, live }()
	var told []string
	var answer error
	runTool = func(_ context.Context, name string, args ...string) error {
		told = append(told, strings.Join(append([]string{name}, args...), " "))
		return answer
	}
	all := []string{"nscd -i passwd", "nscd -i group", "sss_cache -UG"}
	exit := func(status string) error { return exec.Command("sh", "-c", "exit "+status).Run() }
	new := withUsers(false)
	root := rootOf(t, new)
	p := Merge(withUsers(true, "alice:500"), new, nil)
	receipt, err := p.Apply(ctx, root)
	require.NoError(t, err)
	require.Empty(t, told, "a mounted host has no caches")
	liveRoot = root
	_, err = Merge(withUsers(true), new, nil).Apply(ctx, root)
	require.NoError(t, err)
	require.Empty(t, told, "nothing changed")
	require.NoError(t, Revert(ctx, root, receipt))
	require.Equal(t, all, told)

	for _, fine := range []error{nil, exit("1"), exec.ErrNotFound, fs.ErrNotExist} {
		told, answer = nil, fine
		_, err = p.Apply(ctx, root)
		require.NoError(t, err)
		require.Equal(t, all, told)
	}
	answer = exit("4")
	receipt, err = p.Apply(ctx, root)
	require.ErrorContains(t, err, "exit status 4")
	require.NotNil(t, receipt, "the files are new all the same")
	told = nil
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("drifted\n"), 0o644))
	_, err = p.Apply(ctx, root)
	require.ErrorIs(t, err, ErrDrift)
	require.Empty(t, told, "nothing was written")
}

func TestToolsThatAreNotInstalled(t *testing.T) {
	err := runTool(context.Background(), "no-such-cache-of-accounts", "-i")
	require.True(t, errors.Is(err, fs.ErrNotExist), "%v", err)
	require.NoError(t, runTool(context.Background(), "true"))
}
