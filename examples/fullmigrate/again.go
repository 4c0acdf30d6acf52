package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

// redecide brings up to date what the copy goes by, and nothing else: it is called while nobody serves. Of another machine the
// small files are fetched again only where somebody changed an account since.
func (m *migration) redecide(ctx context.Context, p *plan) (*plan, error) {
	if m.remote() {
		if same, err := m.sameAccounts(ctx); err != nil || same {
			return p, err
		}
		if err := m.fetch(ctx); err != nil {
			return nil, err
		}
	}
	known, err := m.known()
	if err != nil {
		return nil, err
	}
	again, err := m.decide(ctx, known)
	if err == nil {
		again.folders = p.folders
	}
	return again, err
}

const accountsScript = `# read the account files
cd /etc || exit
for f in passwd group shadow gshadow; do if [ -e $f ]; then wc -c <$f; cat $f; else echo none; fi || exit; done`

// sameAccounts holds the old host's account files against the copies of them.
func (m *migration) sameAccounts(ctx context.Context) (bool, error) {
	now, err := m.old.Shell(ctx, nil, accountsScript)
	if err != nil {
		return false, err
	}
	then, err := hostcmd.Host{}.Shell(ctx, nil, strings.Replace(accountsScript, "/etc", `"$1"/etc`, 1), m.from)
	return bytes.Equal(now, then), err
}

// watchPairs notes the pairs of which a pass does not leave everything as it is.
func watchPairs(opt *tree.Options) map[int]bool {
	touched := map[int]bool{}
	show := opt.Progress
	opt.Progress = func(e tree.Event) {
		if e.Op != tree.OpUnchanged {
			touched[e.Pair] = true
		}
		if show != nil {
			show(e)
		}
	}
	return touched
}
