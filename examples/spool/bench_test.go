package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// spoolOf makes 1000 mailboxes of SPOOL_BENCH_MB megabytes together (default 500), in memory where that is possible.
func spoolOf(b *testing.B) (dir string, total int64) {
	b.Helper()
	mb, err := strconv.Atoi(os.Getenv("SPOOL_BENCH_MB"))
	if err != nil {
		mb = 500
	}
	dir, err = os.MkdirTemp("/dev/shm", "spool")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	var box bytes.Buffer
	line := bytes.Repeat([]byte("A line of text as people and programs write it, long enough to be wrapped.\n"), 100)
	box.WriteString("From a@b Thu Jan  1 00:00:01 2015\nX-IMAPbase: 1420070401 0099999999\nX-UID: 1\n\nfirst\n\n")
	for uid := 2; box.Len() < mb<<20/1000; uid++ {
		fmt.Fprintf(&box, "From a@b Thu Jan  1 00:00:01 %d\nReceived: from x by y; Thu, 1 Jan 2015 00:00:01 +0000\nFrom: a@b\nSubject: message %d\nX-UID: %d\nStatus: RO\n\n", 2000+uid%25, uid, uid)
		for range 1 + uid%6 {
			box.Write(line)
		}
		box.WriteByte('\n')
	}
	for i := range 1000 {
		require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("user%04d", i)), box.Bytes(), 0o600))
	}
	return dir, int64(1000 * box.Len())
}

// BenchmarkReport looks over 1000 mailboxes, beside what else tells their sizes and counts their messages.
func BenchmarkReport(b *testing.B) {
	dir, total := spoolOf(b)
	b.Run("spool report", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			r, err := look(b.Context(), dir)
			require.NoError(b, err)
			require.Len(b, r.Mailboxes, 1000)
		}
	})
	b.Run("du and grep -c From", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			out, err := exec.Command("sh", "-c", "du -s "+dir+"; LC_ALL=C grep -c '^From ' "+dir+"/*").Output()
			require.NoError(b, err)
			require.Equal(b, 1001, bytes.Count(out, []byte("\n")))
		}
	})
}
