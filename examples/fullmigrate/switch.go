package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mailmove/mailmove/internal/service"
	"github.com/mailmove/mailmove/mx"
	"github.com/mailmove/mailmove/netcfg"
)

// letServe takes over the address and starts the new host's daemons. From here on mail may arrive there.
func (c *cutover) letServe(ctx context.Context) error {
	if err := c.moveAddress(ctx); err != nil {
		return err
	}
	if c.m.new == nil {
		return nil
	}
	started := make(chan error, 1)
	go func() { started <- service.Start(ctx, c.m.new, c.starts()) }()
	silent := answers(ctx, c.addresses(), c.rec.Ports)
	err := <-started
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && (len(silent) > 0 || len(c.rec.Ports) == 0):
		return err
	case err != nil:
		c.out.Problems = append(c.out.Problems, err.Error())
	}
	for _, port := range silent {
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("nobody answers on port %d of the new host", port))
	}
	return nil
}

// addresses are those on which the new host's answer is looked for.
func (c *cutover) addresses() []string {
	if c.rec.Move != nil && len(c.rec.Move.Plan.Addresses) > 0 {
		return []string{c.rec.Move.Plan.Addresses[0].Addr().String()}
	}
	all := []string{"127.0.0.1"}
	addrs, _ := net.InterfaceAddrs() // without them the first is tried alone
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	return all
}

// answerWait is how long the new host's daemons may take to answer.
const answerWait = 20 * time.Second

// answers waits until every port is answered on one of the addresses, and gives those that are not.
func answers(ctx context.Context, addrs []string, ports []int) []int {
	ctx, stop := context.WithTimeout(ctx, answerWait)
	defer stop()
	var mu sync.Mutex
	var silent []int
	var wg sync.WaitGroup
	for _, port := range ports {
		wg.Go(func() {
			for !greets(ctx, addrs, port) {
				select {
				case <-ctx.Done():
					mu.Lock()
					silent = append(silent, port)
					mu.Unlock()
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(silent)
	return silent
}

// greets tells whether a server speaks; on the ports of TLS it waits for us to speak first.
func greets(ctx context.Context, addrs []string, port int) bool {
	for _, a := range addrs {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer conn.Close()
		if port == 465 || port == 993 || port == 995 {
			return true
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // a TCP connection has deadlines
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && (strings.HasPrefix(line, "* OK") || strings.HasPrefix(line, "+OK") || strings.HasPrefix(line, "220")) {
			return true
		}
	}
	return false
}

// writeFiles makes the address survive the next boot of the new host.
func (c *cutover) writeFiles(ctx context.Context) error {
	receipt, err := c.rec.Move.Plan.Apply(ctx, c.m.to)
	switch {
	case errors.Is(err, netcfg.ErrDrift):
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("the new host's network files were left alone, and the next boot loses the address: %v", err))
		return nil
	case err == nil && receipt.Backup != "":
		c.m.say1("  the files before: %s", receipt.Backup)
	}
	return err
}

func (c *cutover) fileLines() []string {
	if c.rec.Move == nil || len(c.rec.Move.Plan.Files) == 0 {
		return nil
	}
	var out []string
	for _, f := range c.rec.Move.Plan.Files {
		out = append(out, "# writes /"+f.Path)
	}
	return out
}

func (c *cutover) flushLines() (out []string) {
	for _, b := range c.rec.Backups {
		out = append(out, "mxcheck -flush -domain "+c.rec.Domain+" -backup "+b)
	}
	return out
}

// announceAgain is when neighbours are told once more. Tests have no time for it.
var announceAgain = netcfg.Schedule()[1:3]

// flush asks for the mail that waited, and tells the neighbours again where the address is. What it cannot do is told: the
// new host serves in any case.
func (c *cutover) flush(ctx context.Context) error {
	var wg sync.WaitGroup
	if mv := c.rec.Move; mv != nil && c.m.new != nil {
		for _, a := range mv.Plan.Addresses {
			wg.Go(func() { _, _ = netcfg.Announce(ctx, mv.Plan.Iface, a.Addr(), announceAgain...) }) // the first time it was told, or why not
		}
	}
	for _, b := range c.rec.Backups {
		r, err := mx.Flush(ctx, b, c.rec.Domain, &mx.FlushOptions{SMTPWait: 15 * time.Second})
		if err != nil {
			wg.Wait()
			return err
		}
		c.out.Flushed = append(c.out.Flushed, fmt.Sprintf("%s: %s: %s", b, r.Status, r.Detail))
		if r.Status == mx.Fail || r.Status == mx.Unknown {
			c.out.Problems = append(c.out.Problems, "the backup MX "+b+" was not asked with success; it delivers by its own schedule")
		}
	}
	if n := queued(ctx, c.m.old); n > 0 {
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("%d recipients wait in the queue of the old host", n))
	}
	wg.Wait()
	return ctx.Err()
}
