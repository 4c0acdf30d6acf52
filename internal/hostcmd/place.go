package hostcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Placed is a program of this host that stands on another one for a while.
type Placed struct {
	Path  string // there
	stdin io.Closer
	out   io.ReadCloser
	kill  context.CancelFunc // of the script that keeps it there
}

// machines are the names that uname -m gives to what a Go program is built for.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x"}

// placeScript says what machine it is on and keeps a program in a private directory until its stdin ends, which it does with the
// connection, however that ends. A directory on a file system that allows no programs, or has no space, is passed over. All is one
// script, the trial run too: each further command through ssh takes both hosts some 50 ms of their processors.
const placeScript = `# put the program there
uname -sm
umask 077
trap '' HUP INT TERM; why=
for t in "${TMPDIR:-/tmp}" /var/tmp /root; do
	d=$(mktemp -d "$t/mailmove-XXXXXXXX" 2>/dev/null) || continue
	free=$(df -Pk "$d" 2>/dev/null | awk 'NR == 2 { print $4 }')
	case $free in ''|*[!0-9]*) ;; *) [ "$free" -gt $(($1 / 1024)) ] || { rm -rf "$d"; d=; why=', or no space'; continue; };; esac
	printf '#!/bin/sh\n' >"$d/mailmove" && chmod 700 "$d/mailmove" && "$d/mailmove" 2>/dev/null && break
	rm -rf "$d"; d=
done
[ -n "$d" ] || { echo "no directory where a program can run$why" >&2; exit 1; }
size=$1; piece=$2; left=$1; shift 2
: >"$d/mailmove"; echo; echo
while [ "$left" -gt 0 ]; do
	[ "$left" -ge "$piece" ] && n=$piece || n=$left
	head -c "$n" >>"$d/mailmove" || break
	left=$((left - n)); echo
done
rc=0; came=$(wc -c <"$d/mailmove")
if [ "$came" -ne "$size" ]; then echo "no space, or cut off: $((came)) of $size bytes came" >&2; rc=1
elif "$d/mailmove" "$@" </dev/null >/dev/null; then printf '%s\n' "$d/mailmove"; cat >/dev/null
else rc=$?; fi
rm -rf "$d"
exit $rc`

// placePiece is how much of a program is sent at a time, two pieces ahead: sshd gathers what comes faster than it is read in
// a buffer that it makes anew for each packet, which took longer than the program itself.
const placePiece = 512 << 10

// grace is how long a script that was told to stop may take to clean up: a trial run may hang.
const grace = 3 * time.Second

// Place copies the executable file exe to a private directory of the other host and makes sure that it runs there with the
// arguments try. It is removed by Remove, and by itself when the connection ends. The error says why it cannot be there:
// another kind of machine, no directory for programs, too old a kernel.
func (h Host) Place(ctx context.Context, exe string, try ...string) (*Placed, error) {
	f, err := os.Open(exe)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	in, hold := io.Pipe()
	run, kill := context.WithCancel(context.WithoutCancel(ctx))
	p := &Placed{stdin: hold, kill: kill}
	wanted := make(chan struct{}, info.Size()/placePiece+3)
	defer close(wanted)
	go func() {
		defer f.Close()
		for range wanted {
			if _, err := io.CopyN(hold, f, placePiece); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				hold.CloseWithError(err)
				return
			}
		}
	}()
	args := append([]string{"-c", placeScript, "sh", fmt.Sprint(info.Size()), fmt.Sprint(placePiece)}, try...)
	if p.out, err = h.Start(run, in, "sh", args...); err != nil {
		kill()
		in.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		in.CloseWithError(ctx.Err())
		time.AfterFunc(grace, kill)
	})
	defer stop()
	r := bufio.NewReader(io.LimitReader(p.out, int64(cap(wanted)+4096)))
	line, err := r.ReadString('\n')
	if have, want := strings.TrimSpace(line), "Linux "+machines[runtime.GOARCH]; err == nil && have != want {
		_ = p.Remove() // it says that nothing came
		return nil, fmt.Errorf("the other host is %q, this program is for %q", have, want)
	}
	for line = "\n"; err == nil && line == "\n"; {
		if line, err = r.ReadString('\n'); line == "\n" {
			select {
			case wanted <- struct{}{}:
			default: // more than there is
			}
		}
	}
	if err != nil {
		if why := errors.Join(ctx.Err(), p.Remove()); why != nil {
			return nil, why
		}
		return nil, err
	}
	p.Path = strings.TrimSuffix(line, "\n")
	return p, nil
}

// Remove removes the program there and waits until it is gone.
func (p *Placed) Remove() error {
	defer p.kill()
	p.stdin.Close()
	_, err := io.Copy(io.Discard, p.out)
	return errors.Join(err, p.out.Close())
}

// Answer is the main of a placed program: serve answers what it is asked on stdin. The line may break at any time: that is an
// error of writing, on which serve gives up its locks, and no signal that kills. The result is the exit code.
func Answer(serve func(ctx context.Context, in io.Reader, out io.Writer) error) int {
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	widen(os.Stdout)
	if err := serve(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
