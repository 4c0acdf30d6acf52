package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/passwd"
)

// rightsScript names what the user who runs it cannot use as mail must be used. Directories have d: before their name.
const rightsScript = `cd /
for f; do
	case $f in
	d:*) [ -r "${f#d:}" ] && [ -w "${f#d:}" ] && [ -x "${f#d:}" ] ;;
	*) [ -r "${f#f:}" ] && [ -w "${f#f:}" ] ;;
	esac || printf '%s\0' "${f#?:}"
done`

// tryRights asks the kernel, as each user, whether home and mailboxes can be read and written: a wrong group or mode shows
// no earlier than the first delivery. Nothing is written.
func (p *plan) tryRights(ctx context.Context, m *migration) error {
	if os.Geteuid() != 0 {
		return nil
	}
	host, err := passwd.ReadHost(m.to)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(m.to)
	if err != nil {
		return err
	}
	defer root.Close()
	spools := map[string]string{}
	for i, u := range p.Users {
		if !u.Moves() {
			continue
		}
		groups := groupsOf(host, u.To, u.ToGID)
		names, inbox := p.usedBy(root, i)
		bad, err := lacks(ctx, u.ToUID, u.ToGID, groups, names)
		if err != nil {
			return err
		}
		p.Outcome.Live.Rights += len(names)
		for _, name := range bad {
			p.fails("%s: %s cannot be read and written by its user (uid %d, gid %d): %s", u.To, plain(name), u.ToUID, u.ToGID, modeOf(m.to, name))
		}
		if inbox == "" || !p.locksByFile() {
			continue
		}
		dir := path.Dir(inbox)
		if bad, err = lacks(ctx, u.ToUID, u.ToGID, slices.Concat(groups, p.mailGroups(host)), []string{"d:" + dir}); err != nil {
			return err
		}
		if len(bad) > 0 {
			spools[dir] = u.To
		}
	}
	for dir, user := range spools {
		p.fails("%s: Dovecot cannot make its lock files there for %s: %s; set mail_privileged_group or mail_access_groups to its group", dir, user, modeOf(m.to, dir))
	}
	return nil
}

// groupsOf are a user's groups on the new host.
func groupsOf(host *passwd.Host, name string, gid uint32) []uint32 {
	groups := []uint32{gid}
	for g := range host.Group.Groups() {
		if slices.Contains(g.Members, name) {
			groups = append(groups, g.GID)
		}
	}
	return groups
}

// mailGroups are what Dovecot may add while it locks an inbox.
func (p *plan) mailGroups(host *passwd.Host) (gids []uint32) {
	if p.dovecots[1] == nil {
		return nil
	}
	for _, key := range []string{"mail_privileged_group", "mail_access_groups"} {
		for _, name := range words(p.dovecots[1].Get("imap", key).Value) {
			if g, ok := host.Group.Lookup(name); ok {
				gids = append(gids, g.GID)
			}
		}
	}
	return gids
}

// locksByFile tells whether the new Dovecot makes a file beside an inbox to lock it.
func (p *plan) locksByFile() bool {
	return p.dovecots[1] != nil && slices.Contains(words(p.dovecots[1].Get("imap", "mbox_write_locks").Value), "dotlock")
}

// lacks runs the script as a user, on up to 500 names at a time.
func lacks(ctx context.Context, uid, gid uint32, groups []uint32, names []string) (bad []string, err error) {
	for some := range slices.Chunk(names, 500) {
		c := asUser(ctx, uid, gid, groups, "sh", append([]string{"-c", rightsScript, "sh"}, some...)...)
		out, err := c.Output()
		if err != nil {
			return nil, fmt.Errorf("as uid %d: %w", uid, err)
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			if name != "" {
				bad = append(bad, name)
			}
		}
	}
	return bad, nil
}
