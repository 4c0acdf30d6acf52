//go:build !unix

package main

import (
	"context"
	"io/fs"
	"os/exec"
)

func ownerOf(fs.FileInfo) (uint32, bool) { return 0, false }

func groupOf(fs.FileInfo) (uint32, bool) { return 0, false }

func asUser(ctx context.Context, _, _ uint32, _ []uint32, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

func alive(int) bool { return true }

func linked(fs.FileInfo) bool { return false }
