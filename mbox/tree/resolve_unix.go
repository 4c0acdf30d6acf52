//go:build unix

package tree

import (
	"io/fs"
	"os"
	"syscall"
)

func administrators(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}
