package mbox

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// What users plant in their directories is refused, and nothing is written anywhere.
func TestArchiveHostile(t *testing.T) {
	for name, plant := range map[string]func(p *place) error{
		"link as archive":      func(p *place) error { return os.Symlink(p.write("victim", "secret"), p.path("old/anna")) },
		"dangling link":        func(p *place) error { return os.Symlink(p.path("absent"), p.path("old/anna")) },
		"hard link as archive": func(p *place) error { return os.Link(p.write("victim", "From x"), p.path("old/anna")) },
		"FIFO as archive":      func(p *place) error { return unix.Mkfifo(p.path("old/anna"), 0o600) },
		"directory as archive": func(p *place) error { return os.Mkdir(p.path("old/anna"), 0o700) },
		"archive is no mbox":   func(p *place) error { p.write("old/anna", "text\n"); return nil },
		"link as mailbox": func(p *place) error {
			return errors.Join(os.Rename(p.path("mail/anna"), p.path("victim")), os.Symlink(p.path("victim"), p.path("mail/anna")))
		},
		"hard link as mailbox": func(p *place) error { return os.Link(p.path("mail/anna"), p.path("mail/bob")) },
		"FIFO as mailbox": func(p *place) error {
			return errors.Join(os.Remove(p.path("mail/anna")), unix.Mkfifo(p.path("mail/anna"), 0o600))
		},
		"archive is the mailbox": func(p *place) error { p.rule.Into = p.path("mail/%f"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			box := p.write("mail/anna", oldA+newB)
			require.NoError(t, plant(p))
			plan, err := p.rule.Plan(t.Context(), box)
			if err == nil {
				_, err = plan.Apply(t.Context())
			}
			require.Error(t, err)
			require.Empty(t, p.names("journal"))
			for _, name := range []string{"mail/anna", "victim"} {
				if info, err := os.Lstat(p.path(name)); err == nil && info.Mode().IsRegular() {
					require.Contains(t, []string{oldA + newB, "secret", "From x"}, p.read(name))
				}
			}
			require.NoFileExists(t, p.path("absent"))
		})
	}
}

// As root: a new archive is the owner's; links of users are not followed, those of root are; one owner's mail does not go
// to another's archive.
func TestArchiveOwners(t *testing.T) {
	oracle.Root(t)
	p := newPlace(t)
	box := p.write("mail/anna", oldA+newB)
	require.NoError(t, os.Chown(box, 4711, 4712))
	require.NoError(t, os.Symlink(p.path("old"), p.path("by-root")))
	p.rule.Into = p.path("by-root/%u/%f")
	p.apply(box)
	for name, mode := range map[string]os.FileMode{"old/4711": 0o700, "old/4711/anna": 0o600} {
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(p.path(name), &st))
		require.Equal(t, []uint32{4711, 4712, uint32(mode)}, []uint32{st.Uid, st.Gid, st.Mode & 0o777})
	}
	p.write("mail/anna", oldA+newB)
	require.NoError(t, os.Mkdir(p.path("home"), 0o755))
	require.NoError(t, os.Chown(p.path("home"), 4711, 4712))
	require.NoError(t, os.Symlink(p.path("old"), p.path("home/link")))
	for _, into := range []string{"home/link/%f", "home/link/%Y/%f"} {
		p.rule.Into = p.path(into)
		_, err := p.plan(box).Apply(t.Context())
		require.ErrorIs(t, err, errPlanted)
	}
	require.NoError(t, os.Chown(p.path("home"), 0, 0))
	require.NoError(t, os.Chmod(p.path("home"), 0o777))
	_, err := p.plan(box).Apply(t.Context())
	require.ErrorIs(t, err, errPlanted, "anybody could have made the link")
	require.NoError(t, os.Chmod(p.path("home"), 0o755))

	p.rule.Into = p.path("old/all")
	p.write("old/all", newD)
	_, err = p.plan(box).Apply(t.Context())
	require.ErrorIs(t, err, errForeign)
	require.Equal(t, oldA+newB, p.read("mail/anna"))
	require.NoFileExists(t, p.path("old/anna"))
}

func TestArchiveJournalDirectory(t *testing.T) {
	p := newPlace(t)
	box := p.write("mail/anna", oldA+newB)
	require.NoError(t, os.Mkdir(p.path("journal"), 0o755))
	_, err := p.plan(box).Apply(t.Context())
	require.ErrorContains(t, err, "want 0700")
	require.NoError(t, os.Remove(p.path("journal")))
	require.NoError(t, os.Symlink(p.path("old"), p.path("journal")))
	_, err = p.plan(box).Apply(t.Context())
	require.ErrorContains(t, err, "want a directory")
	p.rule.Journal = ""
	_, err = p.plan(box).Apply(t.Context())
	require.ErrorContains(t, err, "no directory for the journal")
	require.Equal(t, oldA+newB, p.read("mail/anna"))
}
