package passwd

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	moby "github.com/moby/sys/user"
	"github.com/stretchr/testify/require"
	osutil "github.com/tredoe/osutil/user"
	"golang.org/x/sys/unix"
)

// Parsers of others, on the text of BenchmarkParse100k.

func BenchmarkParse100kMoby(b *testing.B) {
	p, _ := manyUsers("user", 1000, 100000)
	src := []byte(p)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		users, err := moby.ParsePasswd(bytes.NewReader(src))
		require.NoError(b, err)
		require.Len(b, users, 100000)
	}
}

// osutil parses no bytes: the nearest it has is the list of all accounts of /etc/passwd, which is read line by line. The
// thread of the benchmark has its own there, as root in a mount namespace.
func BenchmarkParse100kOsutil(b *testing.B) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the benchmark
	if os.Geteuid() != 0 || unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS) != nil {
		b.Skip("needs a mount namespace of its own")
	}
	p, _ := manyUsers("user", 1000, 100000)
	file := filepath.Join(b.TempDir(), "passwd")
	require.NoError(b, os.WriteFile(file, []byte(p), 0o644))
	require.NoError(b, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(b, unix.Mount(file, "/etc/passwd", "", unix.MS_BIND, ""))
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		users, err := osutil.LookupInUser(osutil.U_ALL, "", -1)
		require.NoError(b, err)
		require.Len(b, users, 100000)
	}
	require.NoError(b, unix.Unmount("/etc/passwd", unix.MNT_DETACH))
}
