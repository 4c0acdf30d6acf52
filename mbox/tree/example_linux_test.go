package tree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/mbox/tree"
)

func ExampleSync() {
	dir, err := os.MkdirTemp("", "tree")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	src, dst := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	os.MkdirAll(filepath.Join(src, "home/alice/Maildir/cur"), 0o700)
	os.Mkdir(dst, 0o755)
	message := filepath.Join(src, "home/alice/Maildir/cur/1.host:2,")
	os.WriteFile(message, []byte("Subject: hello\n\n"), 0o600)

	opt := &tree.Options{
		Pairs: []tree.Pair{{From: "home/alice", To: "home/alice"}},
		State: filepath.Join(dir, "state"),
	}
	rep, err := tree.Sync(context.Background(), tree.Dir(src), dst, opt)
	fmt.Println(rep.CopiedFiles, rep.CopiedBytes, err)

	os.Rename(message, message+"S") // alice reads it
	rep, err = tree.Diff(context.Background(), tree.Dir(src), dst, opt, func(c tree.Change) error {
		fmt.Println(c.Op, c.Path, c.Bytes)
		return nil
	})
	fmt.Println(rep.Renamed, rep.CopiedBytes, err)
	rep, err = tree.Sync(context.Background(), tree.Dir(src), dst, opt)
	fmt.Println(rep.Renamed, rep.CopiedBytes, err)
	// Output:
	// 1 16 <nil>
	// metadata home/alice/Maildir/cur 0
	// rename home/alice/Maildir/cur/1.host:2,S 0
	// 1 0 <nil>
	// 1 0 <nil>
}
