package mx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// FlushOptions are the means of a Flush. nil and every zero value are usable.
type FlushOptions struct {
	Helo     string        // name given in EHLO; "" is the address literal of the connection
	SMTPWait time.Duration // limit of the SMTP connection; 0 is 60 s

	// Queue lists what the backup holds: QueueOf where its programs can be run. nil proves nothing: the result is then
	// Unproven at best.
	Queue func(ctx context.Context) ([]Queued, error)
	Poll  time.Duration // pause between two looks at the queue; 0 is 2 s
	Again time.Duration // pause until the request is repeated while mail is left, for what was under way or put off; 0 is 30 s
	Wait  time.Duration // how long the queue is watched, unless the request was refused; 0 is 5 min

	// Dial opens the connection; nil is that of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// FlushResult is the outcome of a Flush. In JSON, queued is null when it is not known.
type FlushResult struct {
	Status Status   `json:"status"` // OK: the queue was seen empty. Fail: refused, or not drained. Unproven: asked, not seen. Unknown: no answer
	Code   int      `json:"code"`   // reply to ETRN; 0 when there was none
	Queued *int     `json:"queued"` // recipients of the domain that still wait; nil when not known
	Detail string   `json:"detail"`
	Left   []Queued `json:"left"` // those recipients, as far as the queue was seen; never nil
}

// String is the result for people: the status, what it rests on, and the first recipients that are left.
func (r *FlushResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status   %s\ndetail   %s\n", r.Status, r.Detail)
	if r.Queued != nil {
		fmt.Fprintf(&b, "queued   %d\n", *r.Queued)
	}
	for i, q := range r.Left {
		if i == maxLines {
			fmt.Fprintf(&b, "left     and %d more\n", len(r.Left)-maxLines)
			break
		}
		fmt.Fprintf(&b, "left     %s %s: %s\n", clean(q.ID), clean(q.Recipient), clean(q.Reason))
	}
	return b.String()
}

// Flush asks the backup, "host" or "host:port" (25 without), for the mail of the domain by ETRN (RFC 1985) and watches
// the queue, where it can be seen, until it holds no recipient of the domain. Where the request was refused the queue is
// looked at once.
//
// A positive reply alone proves nothing: Postfix says "250 Queuing started" for a domain it never flushes and with the
// primary still down, sendmail says it for any domain. The result is then Unproven, never OK. The error is about the
// arguments or ctx.
func Flush(ctx context.Context, backup, domain string, opt *FlushOptions) (*FlushResult, error) {
	var o FlushOptions
	if opt != nil {
		o = *opt
	}
	domain, err := argument("domain", domain)
	if err != nil {
		return nil, err
	}
	address, err := endpoint(backup)
	if err != nil {
		return nil, err
	}
	common := &Options{Helo: o.Helo, SMTPWait: o.SMTPWait, Dial: o.Dial}
	if err := checkNumbers(common); err != nil {
		return nil, err
	}
	if err := checkNames(common, domain); err != nil {
		return nil, err
	}
	if o.Poll < 0 || o.Again < 0 || o.Wait < 0 {
		return nil, fmt.Errorf("poll %s, again %s, wait %s: wanted 0 or more", o.Poll, o.Again, o.Wait)
	}
	o.Poll, o.Again, o.Wait = cmp.Or(o.Poll, 2*time.Second), cmp.Or(o.Again, 30*time.Second), cmp.Or(o.Wait, 5*time.Minute)
	if common.Dial == nil {
		common.Dial = (&net.Dialer{}).DialContext
	}
	r := &FlushResult{Left: []Queued{}}
	ask := func(r *FlushResult) { etrn(ctx, common, address, show(domain), r) }
	ask(r)
	if o.Queue != nil && ctx.Err() == nil {
		drain(ctx, &o, domain, r, ask)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("flush %s at %s: %w", show(domain), address, err)
	}
	return r, nil
}

// endpoint is the address to connect to; an IPv6 address needs brackets only with a port.
func endpoint(backup string) (string, error) {
	if a, ok := literal(backup); ok {
		return net.JoinHostPort(a.String(), strconv.Itoa(smtpPort)), nil
	}
	host, port, err := net.SplitHostPort(backup)
	if err != nil {
		host, port = backup, strconv.Itoa(smtpPort)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("backup %q: wanted host or host:port", backup)
	}
	if _, ok := literal(host); !ok {
		if host, err = argument("backup", host); err != nil {
			return "", err
		}
	}
	return net.JoinHostPort(show(host), port), nil
}

// etrn holds the session and reads the reply.
func etrn(ctx context.Context, o *Options, address, domain string, r *FlushResult) {
	s, greeting, done, err := open(ctx, o, address, o.SMTPWait)
	if err != nil {
		r.Status, r.Detail = Unknown, "no answer: "+clean(err.Error())
		return
	}
	defer done()
	defer s.quit()
	if !greeting.positive() {
		r.Status, r.Detail = Unknown, "greeted with "+greeting.String()
		return
	}
	hello, err := s.hello()
	if err == nil && !hello.positive() {
		err = errors.New("EHLO refused: " + hello.String())
	}
	var reply smtpReply
	if err == nil {
		reply, err = s.command("ETRN %s", domain)
	}
	noTLS := ""
	if _, offered := s.caps["STARTTLS"]; err == nil && reply.code == 530 && offered {
		host, _, _ := net.SplitHostPort(address)
		if _, tlsErr := s.secure(host, lookup{}); tlsErr != nil { // any certificate: the request holds no secret
			noTLS = clean(tlsErr.Error())
		} else {
			reply, err = s.command("ETRN %s", domain)
		}
	}
	if err != nil {
		r.Status, r.Detail = Unknown, clean(err.Error())
		return
	}
	r.Code = reply.code
	meaning(reply, r)
	r.Detail = join(r.Detail, noTLS)
}

// meaning reads the codes of RFC 1985 section 5.3, and those that servers add.
func meaning(reply smtpReply, r *FlushResult) {
	none := 0
	r.Status = Fail
	switch reply.code {
	case 250, 252:
		r.Status, r.Detail = Unproven, "delivery was started, says the server; the queue was not seen"
	case 251:
		r.Status, r.Queued, r.Detail = Unproven, &none, "no messages waiting, says the server; the queue was not seen"
	case 253:
		r.Status, r.Detail = Unproven, "delivery of pending messages was started, says the server; the queue was not seen"
		if n, ok := pending(reply.text); ok {
			r.Queued = &n
		}
	case 458:
		r.Detail = "the server could not start delivery; ask again"
	case 459:
		r.Detail = "the server does not flush this domain: add it to fast_flush_domains (Postfix), or flush on that host"
	case 500, 502:
		r.Detail = "the server does not know ETRN; flush on that host"
	case 501:
		r.Detail = "the server does not understand the domain"
	case 530:
		r.Detail = "the server wants TLS or a login first; flush on that host"
	case 450, 454, 550, 553, 554: // the first two from Postfix with soft_bounce
		r.Detail = "the server does not allow ETRN from this address"
	case 421:
		r.Status, r.Detail = Unknown, "the server closes the connection; ask again"
	default:
		r.Detail = "unexpected reply"
		if reply.transient() || reply.positive() {
			r.Status = Unknown
		}
	}
	r.Detail += ": " + reply.String()
}

// pending finds the number in "253 <n> pending messages for node <x> started", where an enhanced code may come first.
func pending(text string) (int, bool) {
	words := strings.Fields(text)
	for i, w := range words {
		if i+1 < len(words) && strings.EqualFold(words[i+1], "pending") {
			n, err := strconv.Atoi(w)
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}

// drain watches the queue until it holds nothing of the domain or the time is up, and asks again meanwhile.
func drain(ctx context.Context, o *FlushOptions, domain string, r *FlushResult, ask func(*FlushResult)) {
	end := time.NewTimer(o.Wait)
	defer end.Stop()
	tick := time.NewTicker(o.Poll)
	defer tick.Stop()
	again := time.NewTicker(o.Again)
	defer again.Stop()
	asked := *r
	for {
		if over := look(ctx, o, domain, r, &asked); over {
			return
		}
		if asked.Status != Unproven { // nothing was started
			stuck(r, &asked)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			stuck(r, &asked)
			return
		case <-again.C:
			ask(&FlushResult{}) // the first answer stands
		case <-tick.C:
		}
	}
}

// look takes the queue's state into r and reports whether nothing more is to be seen.
func look(ctx context.Context, o *FlushOptions, domain string, r, asked *FlushResult) bool {
	all, err := o.Queue(ctx)
	if err != nil {
		if ctx.Err() == nil {
			*r = *asked
			r.Detail = join(r.Detail, "the queue could not be seen: "+clean(err.Error()))
		}
		return true
	}
	r.Left = []Queued{}
	for _, q := range all {
		if at := strings.LastIndexByte(q.Recipient, '@'); at >= 0 && absolute(q.Recipient[at+1:]) == domain {
			r.Left = append(r.Left, q)
		}
	}
	n := len(r.Left)
	r.Queued = &n
	if n == 0 {
		r.Status, r.Detail = OK, join("the queue holds nothing of the domain", codeText(asked.Code))
	}
	return n == 0
}

// stuck says what is left and why: in the words of the queue, and of the server where it refused.
func stuck(r, asked *FlushResult) {
	reason := clean(r.Left[0].Reason)
	if reason == "" {
		reason = "no delivery was tried yet"
	}
	r.Status = Fail
	r.Detail = join(fmt.Sprintf("not drained: %s in the queue, the first: %s", count(len(r.Left), "recipient"), reason), codeText(asked.Code))
	if asked.Status != Unproven {
		r.Detail = join(r.Detail, asked.Detail)
	}
}

func codeText(code int) string {
	if code == 0 {
		return "ETRN had no answer"
	}
	return fmt.Sprintf("ETRN was answered with %d", code)
}
