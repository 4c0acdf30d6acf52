package passwd

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// checkEdit refuses an edit of an account file that loses or changes a line, writes a NUL byte or nothing at all, or
// puts another root before root. Groups may get members behind what stands in their line, and the passwords of people who
// move may change.
func (p *Plan) checkEdit(name string, before, after []byte) error {
	switch {
	case len(after) == 0:
		return fmt.Errorf("%s: %w: it would be empty", name, ErrValue)
	case bytes.IndexByte(after, 0) >= 0:
		return fmt.Errorf("%s: %w: it has a NUL byte", name, ErrValue)
	}
	keeps := kept
	if name == "etc/shadow" {
		keeps = func(old, got []byte) bool { return kept(old, got) || p.movedOn(old, got) }
	}
	if name == "etc/group" || name == "etc/gshadow" {
		keeps = func(old, got []byte) bool {
			return kept(old, got) || grown(old, got) || grown(bytes.TrimSuffix(old, []byte("\r")), got) || grown(bytes.TrimRight(old, "\r"), got)
		}
	}
	olds, news := lines.Split(before), lines.Split(after)
	i := 0
	for n, l := range olds {
		for i < len(news) && !keeps(l.Text, news[i].Text) {
			i++
		}
		if i == len(news) {
			return fmt.Errorf("%s:%d: %w: the line would be lost", name, n+1, ErrValue)
		}
		i++
	}
	if was := root(olds); was != nil && !keeps(was, root(news)) {
		return fmt.Errorf("%s: %w: another line would come before root's", name, ErrValue)
	}
	return nil
}

// root finds the first line that may be root's.
func root(file []lines.Line) []byte {
	for _, l := range file {
		if bytes.HasPrefix(bytes.TrimLeft(l.Text, " \t"), []byte("root:")) {
			return l.Text
		}
	}
	return nil
}

// kept tells whether a line is as it was. A CR before the end of a file without newline becomes a part of the line
// end, and is none of the text.
func kept(old, got []byte) bool {
	return bytes.Equal(bytes.TrimRight(old, "\r"), bytes.TrimRight(got, "\r"))
}

// movedOn tells whether got is the line of the same user in etc/shadow, one who moves.
func (p *Plan) movedOn(old, got []byte) bool {
	name, _, _ := bytes.Cut(old, []byte(":"))
	if bytes.Count(got, []byte(":")) != 8 || !bytes.HasPrefix(got, append(bytes.Clone(name), ':')) || string(name) == "root" {
		return false
	}
	for u := range p.Migrated() {
		if u.To == string(name) {
			return true
		}
	}
	return false
}

// grown tells whether got is the line of a group with members appended, be it that fields which it lacked came too.
func grown(old, got []byte) bool {
	more, ok := bytes.CutPrefix(got, old)
	missing := 3 - bytes.Count(old, []byte(":"))
	if !ok || missing < 0 || bytes.Count(more, []byte(":")) != missing {
		return false
	}
	if missing > 0 {
		return bytes.HasPrefix(more, []byte(strings.Repeat(":", missing)))
	}
	return bytes.HasPrefix(more, []byte(",")) || bytes.HasSuffix(old, []byte(":")) || bytes.HasSuffix(old, []byte(","))
}

// checkAccounts reads the new etc/passwd again: uid 0 must be who it was, and everybody found as planned.
func (p *Plan) checkAccounts(before, after *File) error {
	was, had := before.LookupID(0)
	if now, has := after.LookupID(0); had != has || was != now {
		return fmt.Errorf("%s: %w: uid 0 would be another account", after.name, ErrValue)
	}
	for u := range p.Migrated() {
		if got, ok := after.Lookup(u.To); !ok || got.UID != u.ToUID || got.GID != u.ToGID {
			return fmt.Errorf("%s: %w: %s would not be found with uid %d and gid %d", after.name, ErrValue, quote(u.To), u.ToUID, u.ToGID)
		}
	}
	return nil
}
