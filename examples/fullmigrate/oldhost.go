package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/mirror"
)

// oldHost is what the plan says of the old host.
type oldHost struct {
	Source  string  `json:"source"`  // as given
	Route   string  `json:"route"`   // "" when it is a directory
	System  string  `json:"system"`  // as it calls itself
	Kernel  string  `json:"kernel"`  // these three only of a host that runs
	Dovecot string  `json:"dovecot"` // version
	Clock   float64 `json:"clock_ahead_seconds"`

	left []mirror.Left // small files that could not be looked at
	here netip.Addr    // that the connection goes to; the zero value when there is none
}

// stay lists the addresses that cannot move, for the old host could not be reached afterwards.
func (h *oldHost) stay() []netip.Addr {
	if !h.here.IsValid() {
		return nil
	}
	return []netip.Addr{h.here}
}

func (h *oldHost) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "old host: %s", h.Source)
	for _, s := range []string{h.System, h.Kernel, h.Route} {
		if s != "" {
			b.WriteString(", " + s)
		}
	}
	if h.Dovecot != "" {
		b.WriteString(", Dovecot " + h.Dovecot)
	}
	return b.String()
}

const askScript = `# ask what the old host is
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
id -u
uname -sr
echo "$SSH_CONNECTION"
echo $(dovecot --version 2>/dev/null </dev/null)
` + whoScript

// whoScript tells two hosts apart that share a kernel, or an image.
const whoScript = "# ask which host it is\necho $(cat /proc/sys/kernel/random/boot_id) $(stat -c %d:%i:%Z /etc/passwd)"

// ask finds out what the host behind ssh is, and refuses what cannot work.
func (m *migration) ask(ctx context.Context) error {
	out, err := m.old.Shell(ctx, nil, askScript)
	if err != nil {
		return err
	}
	said := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(said) != 5 {
		return fmt.Errorf("%s: %d lines about itself, want 5", m.src, len(said))
	}
	if said[0] != "0" {
		return &cli.Hinted{Err: fmt.Errorf("%s: the user there is uid %s, want root: only root may read passwords and mail of all", m.src, said[0]),
			Hint: "let root in by key (PermitRootLogin without-password in sshd_config there) and give -from root@..."}
	}
	here, err := m.new.Shell(ctx, nil, whoScript)
	if err == nil && strings.TrimRight(string(here), "\n") == said[4] {
		return errors.New(m.src + " is this host")
	}
	m.host.Kernel = said[1]
	if c := strings.Fields(said[2]); len(c) == 4 {
		m.host.Route = fmt.Sprintf("ssh from %s to %s port %s", c[0], c[2], c[3])
		m.host.here, _ = netip.ParseAddr(c[2]) // a zone it may have is another's business
	}
	if word, _, _ := strings.Cut(said[3], " "); word != "" && word[0] >= '0' && word[0] <= '9' {
		m.host.Dovecot = word
	}
	return m.askTime(ctx)
}

// askTime compares the clocks, as exactly as the way there and back allows.
func (m *migration) askTime(ctx context.Context) error {
	before := time.Now()
	out, err := m.old.Run(ctx, nil, "date", "+%s.%N")
	if err != nil {
		return err
	}
	half := time.Since(before) / 2
	there, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return fmt.Errorf("%s: date says %q", m.src, out)
	}
	ahead := there - float64(before.Add(half).UnixNano())/1e9
	if math.Abs(ahead) > half.Seconds() {
		m.host.Clock = math.Round(ahead*1000) / 1000
	}
	return nil
}

// judgeHost puts what is known of the old host into the plan.
func (p *plan) judgeHost(m *migration) {
	p.Old = m.host
	p.Old.Source, p.Old.System = m.src, systemOf(m.from)
	if c := p.Old.Clock; math.Abs(c) > 2 {
		way := "ahead of"
		if c < 0 {
			way = "behind"
		}
		p.note(finding{Part: "host", Rule: "CLOCK", Severity: "warn", Name: m.src, Advice: "set both clocks by NTP before the cutover",
			Detail: fmt.Sprintf("the old host's clock is %.1f s %s this one's: times of mail that comes in after the move would jump", math.Abs(c), way)})
	}
	for _, l := range p.Old.left {
		f := finding{Part: "host", Rule: "LARGE", Severity: "warn", Name: plain(l.Name), Detail: "too large to be a configuration: it was not looked at", Advice: "look at it by hand"}
		if l.Size == 0 {
			f.Rule, f.Detail = "RESTLESS", "its user changed it each time that it was read: it was not looked at"
		}
		p.note(f)
	}
}

// systemOf says what a host calls itself (os-release(5), and what there was before it).
func systemOf(dir string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return ""
	}
	defer root.Close()
	for _, name := range []string{"etc/os-release", "etc/redhat-release", "etc/system-release", "etc/debian_version", "usr/lib/os-release"} {
		data, err := root.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(v, `"'`)
			}
		}
		if first, _, _ := strings.Cut(string(data), "\n"); !strings.Contains(first, "=") {
			return map[string]string{"etc/debian_version": "Debian "}[name] + first
		}
	}
	return ""
}
