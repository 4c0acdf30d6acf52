package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A disk gets full at any place of a large mailbox that is put together from its old copy and from what comes, and of a database beside
// it: the user they belong to is told of and has the old mailbox to the last byte, the others get their mail, and with more room the
// next pass completes, again by parts.
func TestFullDiskWhileRebuilding(t *testing.T) {
	old := someMails(60)
	box := strings.Join(old, "")
	newBox := strings.Join(append(marked(append(old[:7:7], old[8:]...)), someMail(60)), "")
	db := strings.Repeat("0123456789abcdef", 66<<10)
	newDB := db[:1<<19] + "ANOTHER" + db[1<<19+7:] + "more"
	for _, kind := range []string{"dir", "plain", "helper"} {
		for _, room := range []int{0, 64, len(newBox)/1024 - 8} { // KiB besides what is there
			t.Run(fmt.Sprint(kind, " ", room), func(t *testing.T) {
				src, dst := openRoots(t)
				source := map[string]func() Source{
					"dir":    func() Source { return Dir(src) },
					"plain":  func() Source { return here(src) },
					"helper": func() Source { return new(lineTo).helper(src) },
				}[kind]
				disk := filepath.Join(dst, "home")
				require.NoError(t, os.Mkdir(disk, 0o755))
				tmpfs(t, disk, "64m")
				in := func(n string) string { return filepath.Join(src, n) }
				for _, user := range []string{"alice", "bob"} {
					write(t, in("home/"+user+"/mail/box"), box)
				}
				write(t, in("home/alice/mail/.imap/box/dovecot.index"), "index of before")
				write(t, in("home/alice/x/db"), db)
				ownedBy(t, in("home"), 666)
				opt := &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"home/alice", "home/alice"}, {"home/bob", "srv/bob"}}}
				_, err := Sync(t.Context(), source(), dst, opt)
				require.NoError(t, err)

				for _, user := range []string{"alice", "bob"} {
					require.NoError(t, os.WriteFile(in("home/"+user+"/mail/box"), []byte(newBox), 0o600))
				}
				require.NoError(t, os.WriteFile(in("home/alice/mail/.imap/box/dovecot.index"), []byte("index of now"), 0o600))
				require.NoError(t, os.WriteFile(in("home/alice/x/db"), []byte(newDB), 0o600))
				var fs unix.Statfs_t
				require.NoError(t, unix.Statfs(disk, &fs))
				used := (int64(fs.Blocks) - int64(fs.Bfree)) * fs.Bsize
				require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", used+int64(room)<<10)))
				before := stats(t, filepath.Join(disk, "alice/mail/box"), filepath.Join(disk, "alice/mail/.imap/box/dovecot.index"))
				rep, err := Sync(t.Context(), source(), dst, opt)
				require.NoError(t, err)
				said := strings.Join(problems(rep), "\n")
				require.Contains(t, said, "home/alice/")
				require.Contains(t, said, "no space left")
				require.NotContains(t, said, "bob")
				require.Equal(t, before, stats(t, filepath.Join(disk, "alice/mail/box"), filepath.Join(disk, "alice/mail/.imap/box/dovecot.index")))
				for name, texts := range map[string][]string{"mail/box": {box}, "mail/.imap/box/dovecot.index": {"index of before"}, "x/db": {db, newDB}} {
					got, err := os.ReadFile(filepath.Join(disk, "alice", name))
					require.NoError(t, err)
					require.True(t, slices.Contains(texts, string(got)), "%s is not the old copy", name)
				}
				sameTrees(t, in("home/bob"), filepath.Join(dst, "srv/bob"), nil)
				noTemps(t, dst)

				require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=64m"))
				rep, err = Sync(t.Context(), source(), dst, opt)
				require.NoError(t, err)
				require.Empty(t, problems(rep))
				sameTrees(t, in("home/alice"), filepath.Join(disk, "alice"), nil)
				noTemps(t, dst)
				if kind == "plain" {
					require.Less(t, rep.CopiedBytes, int64(200<<10), "it was sent whole")
				}
			})
		}
	}
}
