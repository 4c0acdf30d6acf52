package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// mostStays is as many as a person looks at of what belongs to no user.
const mostStays = 50

// judgeSpool tells of mail on the old host that stays there: of root and the daemons, of users who do not move, of nobody.
func (p *plan) judgeSpool(ctx context.Context, m *migration, dir string) error {
	entries, err := m.list(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.note(finding{Part: "mail", Rule: "NO-SPOOL", Severity: "warn", Detail: "the old host has no /var/mail: only homes are copied"})
		return nil
	}
	if err != nil {
		return err
	}
	moves, stays := map[string]bool{}, map[string]bool{}
	for _, u := range p.Users {
		moves[u.Name], stays[u.Name] = u.Moves(), !u.Moves()
	}
	more := 0
	for _, e := range entries {
		if moves[e.name] || strings.HasSuffix(e.name, ".lock") || e.regular && e.size == 0 {
			continue
		}
		f := finding{Part: "mail", Rule: "STAYS", Severity: "warn", Name: plain(e.name), At: plain(path.Join("/var/mail", e.name)),
			Detail: "mail that is not copied: it belongs to no user who moves", Advice: "copy it with copymail if somebody needs it"}
		if stays[e.name] {
			f.Detail = "mail that is not copied: its user stays behind"
		} else if more++; more > mostStays { // anybody may have put any number there
			continue
		}
		p.note(f)
	}
	if more -= mostStays; more > 0 {
		p.note(finding{Part: "mail", Rule: "STAYS", Severity: "warn", At: "/var/mail", Detail: fmt.Sprintf("and %d more that are not copied, for they belong to no user who moves", more)})
	}
	return nil
}
