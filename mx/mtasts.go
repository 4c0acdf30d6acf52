package mx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	policyWait  = 20 * time.Second // for the whole fetch; RFC 8461 section 3.3 suggests a limit of a minute
	policyBytes = 64 << 10         // the limit of RFC 8461 section 3.2
)

// stsFacts are what is known of the domain's MTA-STS policy (RFC 8461).
type stsFacts struct {
	record lookup // of _mta-sts, state found only for a record that announces a policy
	id     string
	policy *stsPolicy
	why    string // why there is no policy though one is announced
}

// stsPolicy is a policy file: RFC 8461 section 3.2.
type stsPolicy struct {
	mode string // enforce, testing, none
	mx   []string
	age  time.Duration // max_age
}

// findPolicy asks whether a policy is announced, and fetches it.
func (c *checker) findPolicy(ctx context.Context) stsFacts {
	s := stsFacts{record: c.ask(ctx, "", "_mta-sts."+c.domain, "TXT")}
	if s.record.state != found {
		return s
	}
	var announced []string
	for _, r := range s.record.values {
		if r.Value == "v=STSv1" || strings.HasPrefix(r.Value, "v=STSv1;") {
			announced = append(announced, r.Value)
		}
	}
	if len(announced) != 1 { // none, or more than one: senders act as if there were no policy (section 3.1)
		s.record.state = nodata
		return s
	}
	for _, part := range strings.Split(announced[0], ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name == "id" {
			s.id = clean(value)
		}
	}
	text, err := c.fetchPolicy(ctx)
	if err == nil {
		s.policy, err = parsePolicy(text)
	}
	if err != nil {
		s.why = clean(err.Error())
	}
	return s
}

// fetchPolicy gets the file from mta-sts.DOMAIN by our own Resolver and Dial. Redirects are not followed (section 3.3).
func (c *checker) fetchPolicy(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, policyWait)
	defer cancel()
	h := host{name: "mta-sts." + c.domain}
	c.addresses(ctx, &h)
	if len(h.addrs) == 0 {
		return nil, errors.New(show(h.name) + " has no address")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.opt.Roots},
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			for _, a := range h.addrs[:min(len(h.addrs), 2)] {
				if conn, err = c.opt.Dial(ctx, "tcp", net.JoinHostPort(a.String(), "443")); err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+show(h.name)+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", show(h.name), response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, policyBytes+1))
	if err == nil && len(text) > policyBytes {
		err = fmt.Errorf("a policy of more than %d bytes", policyBytes)
	}
	return text, err
}

// parsePolicy reads "name: value" lines; unknown names are for later versions.
func parsePolicy(text []byte) (*stsPolicy, error) {
	p := &stsPolicy{}
	version := ""
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
		case "version":
			version = value
		case "mode":
			p.mode = value
		case "mx":
			p.mx = append(p.mx, absolute(value))
		case "max_age":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("max_age: %q", value)
			}
			p.age = time.Duration(n) * time.Second
		}
	}
	switch {
	case version != "STSv1":
		return nil, fmt.Errorf("a policy of version %q, wanted STSv1", version)
	case !slices.Contains([]string{"enforce", "testing", "none"}, p.mode):
		return nil, fmt.Errorf("a policy of mode %q, wanted enforce, testing or none", p.mode)
	}
	return p, nil
}

// allows reports whether the policy names the host; "*." stands for one label (section 4.1).
func (p *stsPolicy) allows(name string) bool {
	return slices.ContainsFunc(p.mx, func(pattern string) bool {
		rest, wild := strings.CutPrefix(pattern, "*.")
		return pattern == name || wild && parent(name) == rest
	})
}

// policyRules are MX23.
func policyRules(f *facts, fs *findings) {
	s, name := f.sts, show(f.domain)
	switch {
	case s.record.state == unanswered && s.record.limited:
		fs.add("MX23", Info, "ask another resolver", "whether %s has an MTA-STS policy cannot be seen: %s", name, s.record.why)
	case s.record.state == unanswered:
		fs.add("MX23", Unknown, "ask again", "whether %s has an MTA-STS policy is unknown: %s", name, s.record.why)
	case s.record.state == found && s.policy == nil:
		fs.add("MX23", Unknown, "repair the policy, or ask again: senders that hold an earlier one go on by that",
			"%s announces an MTA-STS policy that cannot be had: %s", name, s.why)
	}
	if s.policy == nil || s.policy.mode == "none" {
		return
	}
	severity := Warn
	if s.policy.mode == "enforce" {
		severity = Fail
	}
	for _, h := range slices.Concat(usable(f.judged()), f.extra) {
		if !s.policy.allows(h.name) {
			fs.add("MX23", severity, fmt.Sprintf("add \"mx: %s\" to the policy first, then change the id (now %q) in the TXT record at _mta-sts; senders that miss it keep the old policy for %s", show(h.name), s.id, span(s.policy.age)),
				"%sthe MTA-STS policy (mode %s) does not name %s: senders that heed it do not deliver there", planText(f), s.policy.mode, show(h.name))
		}
	}
}
