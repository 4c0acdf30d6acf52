package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sizes are what the corpora measure.
type sizes struct {
	rounds           int
	first, noChange  int // messages in Maildirs
	markRead         int // messages in one folder
	delta, scan      int // bytes of an mbox
	deltaMessages    int
	flags            int // changed in it
	growth, last     []int
	perFolder        int
	memoryMiB        float64 // promised at the last of growth
	meaninglessTimes bool
}

var (
	full = sizes{rounds: 5, first: 100_000, noChange: 300_000, markRead: 50_000, delta: 300 << 20, scan: 1 << 30,
		deltaMessages: 3000, flags: 100, growth: []int{10_000, 100_000, 1_000_000}, last: []int{100_000, 1_000_000}, perFolder: 1000, memoryMiB: 128}
	quick = sizes{rounds: 1, first: 200, noChange: 300, markRead: 100, delta: 3 << 20, scan: 8 << 20,
		deltaMessages: 60, flags: 10, growth: []int{100, 200}, last: []int{300}, perFolder: 50, memoryMiB: 128, meaninglessTimes: true}
)

// bench is one run of the program.
type bench struct {
	sizes
	ctx  context.Context
	dir  string // scratch
	us   string // copymail
	self string // this program
	out  io.Writer
	rows []row
}

// races are the rows in their order.
var races = []struct {
	name string
	run  func(*bench) error
}{
	{"first", (*bench).firstCopy},
	{"nochange", (*bench).noChangePass},
	{"markread", (*bench).markAllRead},
	{"delta", (*bench).deltaPass},
	{"scan", (*bench).scanSpeed},
	{"growth", (*bench).growthOfCost},
	{"sshfirst", (*bench).farFirstCopy},
	{"sshapart", (*bench).farFirstCopyApart},
	{"sshnochange", (*bench).farNoChange},
	{"sshlast", (*bench).farLastPass},
	{"sshdelta", (*bench).farDelta},
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "scan" {
		if err := scanOnce(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	dir := flags.String("dir", "", "`directory` for the corpora; default is that of temporary files")
	small := flags.Bool("quick", false, "small corpora, one round: shows that all works")
	rounds := flags.Int("rounds", 0, "how often the programs of a row take turns; 0: 5, or 1 with -quick")
	only := flags.String("only", "", "comma separated `rows`: first, nochange, markread, delta, scan, growth, sshfirst, sshapart, sshnochange, sshlast, sshdelta")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := &bench{sizes: full, ctx: ctx, out: out}
	if *small {
		b.sizes = quick
	}
	if *rounds > 0 {
		b.rounds = *rounds
	}
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if *only != "" && !slices.ContainsFunc(races, func(r struct {
			name string
			run  func(*bench) error
		}) bool {
			return r.name == name
		}) {
			return fmt.Errorf("-only %q: no such row", name)
		}
	}
	if b.dir, err = os.MkdirTemp(*dir, "mailmove-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(); err != nil {
		return err
	}
	for _, r := range races {
		if *only == "" || slices.Contains(wanted, r.name) {
			fmt.Fprintf(os.Stderr, "bench: %s\n", r.name)
			if err := r.run(b); err != nil {
				b.print() // what came before it
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if err := b.clear(); err != nil {
				return err
			}
		}
	}
	b.print()
	return nil
}

// build makes copymail, and finds this program for the scanners that it holds itself.
func (b *bench) build() (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.us = filepath.Join(b.dir, "copymail")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.us, "github.com/mailmove/mailmove/examples/copymail")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the README builds it
	out, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build copymail: %w\n%s", err, out)
	}
	return nil
}

// clear removes the corpora of a row.
func (b *bench) clear() error {
	entries, err := os.ReadDir(b.dir)
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, e.Name())))
		}
	}
	return err
}

// path is a name in the scratch directory.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
