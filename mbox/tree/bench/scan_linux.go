package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	gombox "github.com/emersion/go-mbox"

	"github.com/mailmove/mailmove/mbox"
)

// mixes are the mailboxes to scan. The target counts for the last, as mail is: of ten messages seven are text, two are
// text with pictures of 100 KB, one has an attachment of 400 KB; so 62 KB on average, nearly all base64.
var mixes = []struct {
	name string
	kind func(i int) (body, int)
}{
	{"small messages", func(i int) (body, int) { return prose, 200 + i%1000 }},
	{"text", func(i int) (body, int) { return prose, 2000 + i%9000 }},
	{"base64", func(i int) (body, int) { return attachment, 100_000 + i%400*1000 }},
	{"mixed", func(i int) (body, int) {
		switch i % 10 {
		case 3, 6:
			return attachment, 100_000
		case 9:
			return attachment, 400_000
		}
		return prose, 1000 + i%7000
	}},
}

const pythonScan = `import mailbox, sys
box = mailbox.mbox(sys.argv[1], create=False)
print(len(box))`

func (b *bench) scanSpeed() error {
	for _, mix := range mixes {
		dir := b.path("scan")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		box := filepath.Join(dir, "box")
		if err := b.mbox(box, b.scan, math.MaxInt, mix.kind); err != nil {
			return err
		}
		info, err := os.Stat(box)
		if err != nil {
			return err
		}
		runners := []runner{
			{name: us, argv: []string{b.self, "scan", us, box}},
			{name: "mailmove chunks", argv: []string{b.self, "scan", "split", box}},
			{name: "go-mbox", argv: []string{b.self, "scan", "go-mbox", box}},
		}
		if mix.name == "mixed" { // elsewhere it takes minutes and tells nothing more
			runners = append(runners, runner{name: "Python mailbox", argv: []string{python(), "-c", pythonScan, box}})
		}
		results, err := b.race(dir, nil, runners)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("scan %d MB, %s", b.scan>>20, mix.name)
		b.add(name, float64(info.Size()), runners, results)
		if mix.name == "mixed" {
			speed := float64(info.Size()) / median(results[us].seconds) / 1e9
			b.target(name, "at least 1.5 GB/s", fmt.Sprintf("%.2f GB/s", speed), speed >= 1.5)
			b.faster(name, results, "go-mbox", 8)
		}
	}
	return nil
}

// python prefers the system's: others may stand behind a script that takes its time.
func python() string {
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		return "/usr/bin/python3"
	}
	return "python3"
}

// scanOnce is the body of a scanner's own process.
func scanOnce(who, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	n := 0
	switch who {
	case us:
		sum, err := mbox.Scan(context.Background(), f, info.Size(), nil, nil)
		if err != nil {
			return err
		}
		n = sum.Strict
	case "split":
		_, err = mbox.Split(context.Background(), f, info.Size(), func(mbox.Chunk) error { n++; return nil })
	case "go-mbox":
		n, err = countGoMbox(f)
	default:
		err = fmt.Errorf("no scanner %q", who)
	}
	fmt.Println(n)
	return err
}

func countGoMbox(f *os.File) (n int, err error) {
	r := gombox.NewReader(f)
	for ; ; n++ {
		message, err := r.NextMessage()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if _, err := io.Copy(io.Discard, message); err != nil {
			return n, err
		}
	}
}
