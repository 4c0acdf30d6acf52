package passwd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// cacheTools make the caches of account data forget what they have: nscd(8) and, of SSSD, sss_cache(8).
var cacheTools = [][]string{{"nscd", "-i", "passwd"}, {"nscd", "-i", "group"}, {"sss_cache", "-UG"}}

// The host that runs, and how it runs a program; tests have others.
var (
	liveRoot = "/"
	runTool  = func(ctx context.Context, name string, args ...string) error {
		_, err := hostcmd.Host{}.Run(ctx, nil, name, args...)
		if hostcmd.Absent(err) { // a PATH without the directory of system tools
			_, err = hostcmd.Host{}.Run(ctx, nil, "/usr/sbin/"+name, args...)
		}
		return err
	}
)

// cacheTime is how long a cache may take to forget.
const cacheTime = 10 * time.Second

// tellCaches is for after a commit: on the host that runs, not on a mounted one, it tells the caches. A tool that is
// not installed, and one that exits with 1 as nscd does when no daemon runs, is fine.
func tellCaches(ctx context.Context, root string) error {
	given, err1 := os.Stat(root)
	live, err2 := os.Stat(liveRoot)
	if err1 != nil || err2 != nil || !os.SameFile(given, live) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTime)
	defer cancel()
	var errs []error
	for _, tool := range cacheTools {
		err := runTool(ctx, tool[0], tool[1:]...)
		var exit *exec.ExitError
		switch {
		case errors.Is(err, fs.ErrNotExist), hostcmd.Absent(err), errors.As(err, &exit) && exit.ExitCode() == 1:
		case err != nil:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
