package scripts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheckStderr(t *testing.T) {
	for _, c := range []struct {
		code   int
		stderr string
		ok     bool
	}{
		{0, "", true},
		{0, "prog: warning: the file is empty\n", true},
		{1, "", true},
		{2, "prog: error: no such file\nprog: hint: look again\n", true},
		{2, "prog: error: one\ntwo\n", true},
		{130, "prog: error: interrupted\nprog: hint: run it again\n", true},
		{2, "prog: error: DNS server: wanted host:port\n", true},
		{2, "", false},
		{2, "prog: warning: the file is empty\n", false},
		{1, "prog: error: no such file\n", false},
		{2, "prog: error: No such file\n", false},
		{2, "prog: error: no such file.\n", false},
		{2, "other: error: no such file\n", false},
		{2, "panic: oh\n", false},
		{0, "done\n", false},
	} {
		require.Equal(t, c.ok, checkStderr("prog", c.code, c.stderr) == nil, c.stderr)
	}
}

func TestDecode(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"a_b":[{"c1":1}],"configs":{"a/b.cf":"x"},"settings":{"auth default/user":{"at":"x:1"}}}` + "\n": true,
		`{"files":[{"before":null}]}`: true,
		``:                            false,
		`[]`:                          false,
		`{} {}`:                       false,
		`{}x`:                         false,
		`{"aB":1}`:                    false,
		`{"a":{"b-c":1}}`:             false,
		`{"a":null}`:                  false,
		`{"a":[{"b":null}]}`:          false,
	} {
		_, err := decode(text)
		require.Equal(t, ok, err == nil, text)
	}
}

func TestAt(t *testing.T) {
	v, err := decode(`{"users":[{"name":"anna","uid":500},{"name":"bert","uid":501}],"map":{"500":1001},"ok":true}`)
	require.NoError(t, err)
	for path, want := range map[string]string{
		"users.0.uid": "500", "users.name=bert.uid": "501", "users.uid=501.name": "bert", "users.len": "2", "map.500": "1001",
		"map.len": "1", "ok": "true", "users.name=anna": `{"name":"anna","uid":500}`,
	} {
		e, ok := at(v, path)
		require.True(t, ok, path)
		require.Equal(t, want, show(e), path)
	}
	for _, path := range []string{"users.2", "users.-1", "users.name=carl", "map.501", "ok.x", "none"} {
		_, ok := at(v, path)
		require.False(t, ok, path)
	}
}

// TestTree: each kind of change is seen.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "d", "file")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o644))
	before, err := look(dir)
	require.NoError(t, err)
	since := func(alike func(a, b object) bool) []string {
		now, err := look(dir)
		require.NoError(t, err)
		return now.since(before, alike)
	}
	require.Empty(t, since(object.equal))

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.NoError(t, os.Chtimes(file, info.ModTime(), info.ModTime().Add(time.Second)))
	require.Contains(t, since(object.equal), "~d/file")
	require.Empty(t, since(object.like))

	require.NoError(t, os.WriteFile(file, []byte("two"), 0o644))
	require.NoError(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
	require.Equal(t, []string{"~d/file"}, since(object.equal), "another content of the same size and time")

	require.NoError(t, os.WriteFile(file+"2", []byte("one"), 0o644))
	require.NoError(t, os.Rename(file+"2", file))
	require.NoError(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
	require.Contains(t, since(object.equal), "~d/file", "another inode")
	require.Empty(t, since(object.like))

	require.NoError(t, os.Rename(file, filepath.Join(dir, "file")))
	require.Equal(t, []string{"+file", "-d/file"}, since(object.like))
}
