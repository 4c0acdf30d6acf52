package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// imap logs in, opens the inbox read only and gives the number of messages (RFC 3501).
func (c *mailClient) imap(ctx context.Context, addr string) (messages int, err error) {
	hangUp, err := c.dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	if _, err := c.line(); err != nil {
		return 0, err
	}
	// Literals carry any byte but NUL.
	if _, err := fmt.Fprintf(c.out, "a LOGIN {%d}\r\n", len(c.user)); err != nil {
		return 0, err
	}
	for _, send := range []string{fmt.Sprintf("%s {%d}\r\n", c.user, len(c.password)), c.password + "\r\n"} {
		if s, err := c.line(); err != nil || !strings.HasPrefix(s, "+") {
			return 0, errors.Join(err, refusedBy(s))
		}
		if _, err := fmt.Fprint(c.out, send); err != nil {
			return 0, err
		}
	}
	if _, err := c.until("a "); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprint(c.out, "b EXAMINE INBOX\r\n"); err != nil {
		return 0, err
	}
	all, err := c.until("b ")
	for _, s := range all {
		var n int
		if _, err := fmt.Sscanf(s, "* %d EXISTS", &n); err == nil {
			messages = n
		}
	}
	_, _ = fmt.Fprint(c.out, "c LOGOUT\r\n")
	return messages, err
}

// until reads up to the reply to a command and gives what came before.
func (c *mailClient) until(tag string) (lines []string, err error) {
	for {
		s, err := c.line()
		if err != nil {
			return lines, err
		}
		if rest, ok := strings.CutPrefix(s, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				return lines, refusedBy(rest)
			}
			return lines, nil
		}
		lines = append(lines, s)
	}
}

func refusedBy(said string) error {
	if said == "" {
		return nil
	}
	return fmt.Errorf("the server says %q", said)
}

// pop3 logs in and gives the UIDL of each message (RFC 1939).
func (c *mailClient) pop3(ctx context.Context, addr string) (uidls []string, err error) {
	hangUp, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	for _, send := range []string{"USER " + c.user + "\r\n", "PASS " + c.password + "\r\n", "UIDL\r\n", ""} {
		if s, err := c.line(); err != nil || !strings.HasPrefix(s, "+OK") {
			return nil, errors.Join(err, refusedBy(s))
		}
		if _, err := fmt.Fprint(c.out, send); err != nil {
			return nil, err
		}
	}
	for {
		s, err := c.line()
		if err != nil {
			return uidls, err
		}
		if s == "." {
			break
		}
		_, uidl, _ := strings.Cut(s, " ")
		uidls = append(uidls, uidl)
	}
	_, _ = fmt.Fprint(c.out, "QUIT\r\n")
	_, err = c.line() // the server has closed the mailbox when it answers
	return uidls, err
}

// inboxOf gives the UIDLs that the old server gave the messages of a user's inbox, by its format and the mailbox here.
func (p *plan) inboxOf(ctx context.Context, m *migration, user int) ([]string, error) {
	root, err := os.OpenRoot(m.to)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	box := ""
	for _, t := range p.trees {
		if t.user != user {
			continue
		}
		info, err := root.Lstat(t.To)
		switch {
		case err != nil:
		case info.Mode().IsRegular() && info.Size() > 0, box == "" && info.Mode().IsRegular():
			box = t.To
		case info.IsDir() && box == "":
			if info, err := root.Lstat(t.To + "/Maildir"); err == nil && info.IsDir() {
				box = t.To + "/Maildir"
			}
		}
	}
	if box == "" {
		return nil, nil
	}
	list, err := messages(ctx, root, box)
	if err != nil {
		return nil, err
	}
	return p.choices[0].UIDLs(list)
}
