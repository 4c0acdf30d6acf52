//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: needs Linux: syncfs, utimensat and rusage in KiB")
	os.Exit(2)
}
