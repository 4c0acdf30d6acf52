package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/mailmove/mailmove/mbox/tree"
)

// everySo often a long work says a line where no terminal shows a bar.
const everySo = 5 * time.Second

// progress shows one phase: a bar on a terminal, else a line now and then. Both go to stderr, stdout is for the report.
type progress struct {
	name  string
	began time.Time
	line  func(string) // nil where a bar is shown, or nothing
	said  time.Time

	mu   sync.Mutex // the bar is drawn by another goroutine
	last tree.Event
	bars *mpb.Progress // nil: no terminal
	bar  *mpb.Bar
}

// phase begins to show a pass over the trees, and gives what ends it; the time that it took goes into the report.
func (m *migration) phase(name string, opt *tree.Options) (end func()) {
	p := &progress{name: name, began: time.Now()}
	p.said = p.began
	switch f, terminal := m.c.Terminal(); {
	case terminal:
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond), mpb.WithWidth(40))
		p.bar = p.bars.New(0, mpb.BarStyle().Lbound("[").Filler("#").Tip("#").Padding(".").Rbound("]"),
			mpb.PrependDecorators(decor.Name(name, decor.WC{W: 10, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.words() })))
	case !m.c.JSON:
		p.line = func(s string) { fmt.Fprintf(m.c.Stderr, "%s: %s\n", m.c.Name, s) }
	}
	opt.Progress = p.event
	return func() {
		p.end()
		m.phases = append(m.phases, phase{name, p.began, time.Since(p.began).Seconds()})
	}
}

// event is called for each object, never from two goroutines at once.
func (p *progress) event(e tree.Event) {
	p.mu.Lock()
	p.last = e
	p.mu.Unlock()
	if p.bar != nil {
		p.bar.SetTotal(max(e.Expected, 0), false)
		p.bar.SetCurrent(min(e.Files, max(e.Expected, e.Files)))
	}
	if p.line != nil && time.Since(p.said) >= everySo {
		p.said = time.Now()
		p.line(p.name + ": " + strings.TrimSpace(p.words()))
	}
}

// words tell how far it came, at what rate, and how long it still takes.
func (p *progress) words() string {
	p.mu.Lock()
	e := p.last
	p.mu.Unlock()
	s := fmt.Sprintf(" %s", counted(int(e.Files), "object", "objects"))
	if e.Expected > 0 {
		s = fmt.Sprintf(" %3d%% of %s", min(100, 100*e.Files/e.Expected), counted(int(e.Expected), "object", "objects"))
	}
	if e.Elapsed > 0 {
		s += fmt.Sprintf(", %s/s", counted(int(float64(e.Files)/e.Elapsed.Seconds()), "", ""))
	}
	if e.Bytes > 0 {
		s += fmt.Sprintf(", %s at %s/s", size(e.Bytes), size(int64(e.Rate())))
	}
	if left := e.Left(); left > 0 {
		s += ", " + shortly(left.Seconds()) + " left"
	}
	return s[1:]
}

// end draws the bar for the last time, so that what is printed next stands alone.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	if p.last.Files < p.last.Expected {
		p.bar.Abort(false) // cut off, or fewer than were expected
	} else {
		p.bar.SetTotal(-1, true)
	}
	p.bars.Wait()
}
