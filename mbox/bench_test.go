package mbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchSize is the size of the benchmark's mailbox: MBOX_BENCH_MB, by default 64.
func benchSize(b *testing.B) int64 {
	if s := os.Getenv("MBOX_BENCH_MB"); s != "" {
		n, err := strconv.ParseInt(s, 10, 32)
		require.NoError(b, err)
		return n << 20
	}
	return 64 << 20
}

// benchBox writes a mailbox of messages of about n bytes, with the headers of ordinary mail.
func benchBox(b *testing.B, n int, length bool) (*os.File, int64) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "box"))
	require.NoError(b, err)
	b.Cleanup(func() { f.Close() })
	w := bufio.NewWriterSize(f, 1<<20)
	line := "SGVsbG8sIHRoaXMgaXMgYmFzZTY0IHRleHQgRnJvbSBzb21lIG1haWwgd2l0aCBhIHBpY3R1cmU=\n"
	size := int64(0)
	for uid := 1; size < benchSize(b); uid++ {
		k := 0
		k += must(b, w, "From sender%d@example.test Thu Jan  1 00:00:01 2015\n", uid)
		k += must(b, w, "Return-Path: <sender%d@example.test>\nX-Original-To: user@example.test\nDelivered-To: user@example.test\n", uid)
		for hop := range 3 {
			k += must(b, w, "Received: from relay%d.example.test (relay%d.example.test [192.0.2.%d])\n\tby mail.example.test (Postfix) with ESMTPS id 4F00%d\n\tfor <user@example.test>; Thu,  1 Jan 2015 00:00:01 +0000 (UTC)\n", hop, hop, hop, uid)
		}
		k += must(b, w, "From: Sender <sender%d@example.test>\nTo: user@example.test\nSubject: message number %d\nDate: Thu, 1 Jan 2015 00:00:01 +0000\nMessage-ID: <%d@example.test>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n", uid, uid, uid)
		if uid == 1 {
			k += must(b, w, "X-IMAPbase: 1420070401 4000000000\n")
		}
		k += must(b, w, "X-UID: %-16d\nStatus: RO\n", uid)
		lines := max(n-k, 0)/len(line) + 1
		if length {
			k += must(b, w, "Content-Length: %d\n", lines*len(line))
		}
		k += must(b, w, "\n")
		for range lines {
			k += must(b, w, "%s", line)
		}
		k += must(b, w, "\n")
		size += int64(k)
	}
	require.NoError(b, w.Flush())
	return f, size
}

func must(b *testing.B, w io.Writer, format string, args ...any) int {
	n, err := fmt.Fprintf(w, format, args...)
	require.NoError(b, err)
	return n
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{5_000, 100_000} {
		for name, opt := range map[string]*Options{"plain": nil, "md5": {MD5: "apop3d"}, "skip": {Skip: true}} {
			b.Run(fmt.Sprintf("%s/%dKB", name, n/1000), func(b *testing.B) {
				f, size := benchBox(b, n, name == "skip")
				b.SetBytes(size)
				for b.Loop() {
					sum, err := Scan(context.Background(), f, size, opt, nil)
					require.NoError(b, err)
					require.NotZero(b, sum.Strict)
				}
			})
		}
	}
}

// BenchmarkSplit cuts and hashes. Divide by the processors to compare it with crypto/sha256 alone.
func BenchmarkSplit(b *testing.B) {
	for _, n := range []int{5_000, 100_000} {
		b.Run(fmt.Sprintf("%dKB", n/1000), func(b *testing.B) {
			f, size := benchBox(b, n, false)
			b.SetBytes(size)
			for b.Loop() {
				_, err := Split(context.Background(), f, size, func(Chunk) error { return nil })
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkAudit(b *testing.B) {
	f, size := benchBox(b, 100_000, false)
	b.SetBytes(size)
	for b.Loop() {
		_, err := Audit(context.Background(), f, size)
		require.NoError(b, err)
	}
}

// BenchmarkGoMbox counts the same messages with go-mbox.
func BenchmarkGoMbox(b *testing.B) {
	for _, n := range []int{5_000, 100_000} {
		b.Run(fmt.Sprintf("%dKB", n/1000), func(b *testing.B) {
			f, size := benchBox(b, n, false)
			b.SetBytes(size)
			for b.Loop() {
				_, err := f.Seek(0, io.SeekStart)
				require.NoError(b, err)
				count, err := goMbox(f)
				require.NoError(b, err)
				require.NotZero(b, count)
			}
		})
	}
}
