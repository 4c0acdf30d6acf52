package surroundings

import (
	"fmt"
	"slices"
	"strings"
)

// spoolGroup tells of a directory of inboxes in which Dovecot could not make its lock files: reading would work and every
// change would fail.
func (f *finder) spoolGroup() {
	old, new := f.Spool[0], f.Spool[1]
	if new.Path == "" {
		return
	}
	where, mode := clean(strings.TrimPrefix(new.Path, "/")), new.Mode.Perm()
	group := fmt.Sprintf("group %d", new.GID)
	if new.Group != "" {
		group = "group " + clean(new.Group)
	}
	x := Finding{Rule: "SPOOL-GROUP", Severity: Loss, Name: "/" + where, At: where}
	switch {
	case !new.Mbox || mode&0o002 != 0:
	case mode&0o020 == 0:
		x.Detail = fmt.Sprintf("mode %04o: only its owner may make files there, so that mailboxes cannot be locked", mode)
		x.Advice = "chgrp mail /" + where + " && chmod 2775 /" + where
	case len(f.MailGroups) > 0 && !slices.Contains(f.MailGroups, new.Group):
		x.Detail = group + " may write there, but the new Dovecot has the rights of " + clean(strings.Join(f.MailGroups, ", ")) + ": it could not lock mailboxes"
		x.Advice = "set mail_privileged_group to the directory's group, or chgrp " + clean(f.MailGroups[0]) + " /" + where
	}
	if x.Detail != "" {
		f.add(x)
		return // what group inboxes should have is known once the directory is right
	}
	if old.Path == "" || f.GIDs == nil {
		return
	}
	if to, ok := f.GIDs[old.GID]; old.GID != 0 && (!ok || to != new.GID) {
		y := Finding{Rule: "SPOOL-GROUP", Severity: Degraded, Name: "/" + where, At: where, Advice: "after the copy: chgrp " + fmt.Sprint(new.GID) + " /" + where + "/*"}
		if y.Detail = fmt.Sprintf("inboxes have group %d on the old host, which has no counterpart on the new one; there /%s has %s", old.GID, where, group); ok {
			y.Detail = fmt.Sprintf("inboxes of group %d become group %d on the new host, where /%s has %s", old.GID, to, where, group)
		}
		f.add(y)
	}
}

// quotas tells of limits that the old host's file systems keep.
func (f *finder) quotas() {
	now := quotaMounts(f.new.read("etc/fstab"))
	if len(now) > 0 {
		return
	}
	for _, m := range quotaMounts(f.old.read("etc/fstab")) {
		f.add(Finding{Rule: "QUOTA", Severity: Degraded, Name: clean(m.key), At: at("etc/fstab", m.line), Detail: "the old host limits users' space here (" + clean(m.value) + "), the new one nowhere",
			Advice: "mount with quotas on the new host and set the limits: repquota -a on the old one shows them, setquota sets them"})
	}
}

// quotaMounts are the mount points with quotas in an fstab(5), and the options that say so.
func quotaMounts(src []byte) (all []entry) {
	for _, l := range logical(src) {
		w := strings.Fields(l.text)
		if len(w) < 4 {
			continue
		}
		var opts []string
		for _, o := range strings.Split(w[3], ",") {
			name, _, _ := strings.Cut(o, "=")
			if slices.Contains([]string{"quota", "usrquota", "grpquota", "uquota", "gquota", "usrjquota", "grpjquota", "prjquota", "pquota"}, name) {
				opts = append(opts, o)
			}
		}
		if len(opts) > 0 {
			all = append(all, entry{w[1], strings.Join(opts, ","), l.line})
		}
	}
	return all
}
