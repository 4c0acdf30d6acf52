package main

import (
	"bufio"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

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
