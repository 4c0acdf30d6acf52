package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// knowState decides whether the saved passes were about these two roots, on this boot of this host.
func (p *pass) knowState() (err error) {
	if !p.state.saved() {
		return nil
	}
	s := p.state
	defer func() { err = errors.Join(err, s.broken) }()
	roots := fmt.Sprintf("%d %d %d", p.srcTop.ino, p.dstTop.ino, p.euid)
	now := p.src.facts()
	if v := s.fact("version"); v != "" && v != stateVersion || v == "" && s.fact("roots") != "" {
		p.rep.Full = append(p.rep.Full, "the state file is of another release")
		if err := s.forget(); err != nil {
			return err
		}
	}
	if p.opt.Expect == 0 {
		p.opt.Expect, _ = strconv.ParseInt(s.fact("files"), 10, 64)
	}
	old := s.fact("roots")
	p.remapped = old != "" && s.fact("ids") != p.idsFact()
	s.known = old != "" || s.journal.found()
	switch {
	case old == "":
		p.saveFacts()
	case old != roots:
		p.rep.Full = append(p.rep.Full, "the state file is about other directories or another user")
		s.known = false
		if err := s.forget(); err != nil {
			return err
		}
	case s.fact("boot_id") != now.boot:
		p.rep.Full = append(p.rep.Full, "this host was started anew since the last pass, or the state is another host's")
		p.full = true
	case clockStepped(s.fact("clock"), now.clock):
		p.rep.Full = append(p.rep.Full, "the clock of this host was set since the last pass")
		p.full = true
	}
	return nil
}

// saveFacts notes what knowState will ask for.
func (p *pass) saveFacts() {
	p.state.setFact("roots", fmt.Sprintf("%d %d %d", p.srcTop.ino, p.dstTop.ino, p.euid))
	p.state.setFact("version", stateVersion)
	now := p.src.facts()
	p.state.setFact("boot_id", now.boot)
	p.state.softFact("clock", now.clock)
	if p.rep.Files > 0 {
		p.state.softFact("files", strconv.FormatInt(p.rep.Files, 10))
	}
	p.state.setFact("ids", p.idsFact())
}

// idsFact changes with the id maps, which stand inside ACLs too.
func (p *pass) idsFact() string {
	h := sha256.New()
	for _, m := range []map[uint32]uint32{p.opt.UIDs, p.opt.GIDs} {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(h, "%d %d,", id, m[id])
		}
		fmt.Fprintln(h, m == nil)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// trust decides whether the records of one pair say anything about its source: top is the directory, or the one that the
// file is in. What another directory lacks has not been deleted by anybody.
func (p *pass) trust(r *pairRun, top *stat) {
	if r.second {
		return
	}
	r.known = p.state.known && p.state.dir(keyOf(r.To)) != nil
	r.place = placeFact(top)
	old := p.state.fact("place " + r.To)
	r.full = p.remapped || p.full
	if old == "" || old == r.place {
		return
	}
	r.moved = true
	if dev, _, _ := strings.Cut(old, " "); dev != strconv.FormatUint(top.dev, 10) {
		r.full = true
	}
	p.rep.Full = append(p.rep.Full, fmt.Sprintf("%q: the source is another directory than at the last pass; nothing is deleted there", r.To))
}

// settle remembers the source of a pair, but for one that lacks what an earlier one had.
func (p *pass) settle(r *pairRun) {
	switch {
	case r.place == "":
	case r.lacking == 0:
		p.state.setFact("place "+r.To, r.place)
	default:
		p.fail(r.To, "delete", fmt.Errorf("the source is another directory than at the last pass and lacks %d names of it; their copies were left", r.lacking))
	}
}

// stateVersion changes with the form of the records.
const stateVersion = "2"

// clockFact is the difference between the wall clock and the time since boot, and that time, in nanoseconds.
func clockFact() string {
	var boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", time.Now().UnixNano()-boot.Nano(), boot.Nano())
}

// clockStepped tells whether the wall clock was set between two clock facts. A clock that is slewed drifts by less than
// 0.05 % (adjtimex(2)).
func clockStepped(old, now string) bool {
	var d0, b0, d1, b1 int64
	if _, err := fmt.Sscan(old, &d0, &b0); err != nil {
		return false
	}
	if _, err := fmt.Sscan(now, &d1, &b1); err != nil {
		return false
	}
	return max(d1-d0, d0-d1) > int64(time.Second)+(b1-b0)/2000
}

func placeFact(st *stat) string { return fmt.Sprintf("%d %d", st.dev, st.ino) }

// bootID changes with each start of the kernel; clocks and device numbers mean nothing across it.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})
