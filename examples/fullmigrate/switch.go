package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mailmove/mailmove/internal/service"
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
	if len(silent) == 0 && len(c.rec.Ports) > 0 { // the commands may have more to do than that
		if err := c.dir.Step(stepServes, func() error { return nil }); err != nil {
			return err
		}
	}
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
