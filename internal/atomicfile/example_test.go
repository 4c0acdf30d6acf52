package atomicfile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

func ExampleApply() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	os.WriteFile(filepath.Join(dir, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644)

	root, _ := os.OpenRoot(dir)
	defer root.Close()
	was, _ := atomicfile.Read(root, "hosts")
	changes := []atomicfile.Change{{
		Name:   "hosts",
		Before: was.Data,
		After:  append(was.Data, "10.99.0.10 mail\n"...),
		Backup: "hosts-",
	}}
	written, err := atomicfile.Apply(context.Background(), root, changes)
	fmt.Println(written, err)
	written, err = atomicfile.Apply(context.Background(), root, changes)
	fmt.Println(written, err)

	os.WriteFile(filepath.Join(dir, "hosts"), []byte("edited by hand\n"), 0o644)
	_, err = atomicfile.Apply(context.Background(), root, changes)
	fmt.Println(errors.Is(err, atomicfile.ErrDrift), err)
	// Output:
	// [hosts] <nil>
	// [] <nil>
	// true hosts: found 15 bytes: neither as planned nor as wanted
}
