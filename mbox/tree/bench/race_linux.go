package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runner is one program in a race.
type runner struct {
	name   string
	needs  string // program that must be there
	argv   []string
	on     []int                       // processors; nil: all
	do     func() error                // instead of a program, in this one
	before func() error                // before each run, not measured
	bytes  func(stdout []byte) float64 // message bytes that it moved; nil: not known
}

// result is what the runs of one runner gave, in their order.
type result struct {
	absent  bool
	seconds []float64
	rss     float64 // most MiB of the process
	bytes   float64 // of the last run, -1 when not known
}

// race lets the runners take turns. change, if any, runs once before each round. target is what is synced.
func (b *bench) race(target string, change func(round int) error, runners []runner) (map[string]*result, error) {
	results := make(map[string]*result)
	for round := range b.rounds {
		if change != nil {
			if err := change(round); err != nil {
				return nil, err
			}
		}
		for _, r := range runners {
			res := results[r.name]
			if res == nil {
				var err error
				if r.do == nil {
					_, err = exec.LookPath(r.argv[0])
				}
				if err == nil && r.needs != "" {
					_, err = exec.LookPath(r.needs)
				}
				res = &result{absent: err != nil, bytes: -1}
				results[r.name] = res
			}
			if res.absent {
				continue
			}
			if err := b.once(target, r, res); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "bench: %s: %.4f s\n", r.name, res.seconds[len(res.seconds)-1])
		}
	}
	return results, nil
}

func (b *bench) once(target string, r runner, res *result) error {
	if r.before != nil {
		if err := r.before(); err != nil {
			return err
		}
	}
	if err := syncfs(target); err != nil {
		return err
	}
	if r.do != nil {
		start := time.Now()
		if err := errors.Join(r.do(), syncfs(target)); err != nil {
			return err
		}
		res.seconds = append(res.seconds, time.Since(start).Seconds())
		return nil
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(b.ctx, r.argv[0], r.argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	err := startOn(r.on, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return errors.Join(b.ctx.Err(), fmt.Errorf("%w: %s", err, tail(stderr.String()+stdout.String())))
	}
	if err := syncfs(target); err != nil {
		return err
	}
	res.seconds = append(res.seconds, time.Since(start).Seconds())
	res.rss = max(res.rss, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024)
	if r.bytes != nil {
		res.bytes = r.bytes(stdout.Bytes())
	}
	return nil
}

// startOn starts a program on some processors, which those that it starts inherit; nil: on all.
func startOn(processors []int, cmd *exec.Cmd) error {
	if processors == nil {
		return cmd.Start()
	}
	runtime.LockOSThread() // a child inherits from the thread that makes it
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, n := range processors {
		set.Set(n)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &before))
}

// tail is the last line of what a program said, or the end of a long one.
func tail(s string) string {
	const most = 500
	s = strings.TrimSpace(s)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	return s[max(0, len(s)-most):]
}

// syncfs makes the file system of dir durable.
func syncfs(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// oursBytes reads the bytes that copymail wrote from its report.
func oursBytes(stdout []byte) float64 {
	var report map[string]any
	if json.Unmarshal(stdout, &report) != nil {
		return -1
	}
	for _, key := range []string{"literal_bytes", "copied_bytes"} {
		if n, ok := report[key].(float64); ok {
			return n
		}
	}
	return -1
}

var literal = regexp.MustCompile(`Literal data: ([0-9,]+)`)

// rsyncBytes reads the literal data from rsync --stats.
func rsyncBytes(stdout []byte) float64 {
	m := literal.FindSubmatch(stdout)
	if m == nil {
		return -1
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(string(m[1]), ",", ""), 64)
	if err != nil {
		return -1
	}
	return n
}
