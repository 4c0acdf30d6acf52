package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the scanners' own processes be this test.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "scan" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestQuick runs every row on small corpora: each program does its work, the table is whole, the scratch data is gone.
func TestQuick(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build copymail with")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711)) // Dovecot's program runs as nobody
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-quick", "-dir", dir}, &out))
	table := out.String()
	t.Log("\n" + table)
	for _, want := range []string{"first copy, 200 files", "no change, 300 files", "mark all read, 100 messages",
		"mbox of 3 MB: 10 flags, 3 expunges, 1 append", "ssh: mbox of 3 MB: 10 flags, 3 expunges, 1 append", "scan 8 MB, mixed", "growth: no change, 200 files", "growth: memory at 200 files", "ssh: first copy, 200 files",
		"cp -a", "tar|tar", "doveadm backup", "rsync", "go-mbox", "Python mailbox", "at least 8x as fast as go-mbox"} {
		require.Contains(t, table, want)
	}
	if runtime.NumCPU() > 1 {
		require.Contains(t, table, "ssh: first copy, a processor each, 200 files")
	}
	if os.Getenv("REQUIRE_ORACLES") == "1" {
		require.NotContains(t, table, "absent")
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestInterrupted: a cancelled run leaves nothing.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, run(ctx, []string{"-quick", "-dir", dir, "-only", "scan"}, &bytes.Buffer{}))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.EqualError(t, run(t.Context(), []string{"-only", "nothing"}, &bytes.Buffer{}), `-only "nothing": no such row`)
}

func TestNumbers(t *testing.T) {
	require.Equal(t, "1 234 567", thousands(1234567))
	require.Equal(t, "-", thousands(-1))
	require.Equal(t, "12", thousands(12))
	require.EqualValues(t, 2, median([]float64{3, 1, 2}))
	require.EqualValues(t, 1784899, rsyncBytes([]byte("Matched data: 3 bytes\nLiteral data: 1,784,899 bytes\n")))
	require.EqualValues(t, -1, rsyncBytes(nil))
	require.EqualValues(t, 7, oursBytes([]byte(`{"copied_bytes": 7}`)))
	require.EqualValues(t, -1, oursBytes([]byte(`no`)))
}
