package tree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

// Serve answers the requests of a Remote whose Helper is this program: in is its stdin, out its stdout. It reads the tree as
// a Dir is read: by descriptors, following no link, mailboxes under their locks; these locks are all that it writes. It returns
// when in ends. The error is of the line.
//
// When the line to the other host breaks, out gives an error or in ends, and Serve lets go of its locks and returns. The program
// must live that long: it ignores SIGHUP and SIGPIPE, and ends ctx at SIGTERM and SIGINT. What a kill -9 leaves locked the next
// pass frees.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return serveEach(ctx, in, out, serve)
}

// serve answers one request:
//
//	manifest ROOT N M WHAT   N bytes of names of single objects, M of names of trees, then what is known, see knownDirs;
//	                         WHAT: "attrs" for attributes too, or "-"
//	fetch ROOT WAIT          requests, see encodeRequests
//	sum ROOT                 sections of names
//	unlock ROOT              names of mailboxes
func serve(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("serve: wanted a request and a root")
	}
	fd, err := openTop(args[1])
	if err != nil {
		return err
	}
	defer closeFd(fd)
	w := bufio.NewWriterSize(out, 256<<10)
	s := &server{ctx: ctx, top: fd, in: bufio.NewReaderSize(in, 64<<10), out: w, dents: make([]byte, 64<<10), buf: make([]byte, 256<<10), at: -1}
	defer func() { closeFd(s.at) }()
	switch {
	case args[0] == "manifest" && len(args) == 5:
		s.attrs = args[4] == "attrs"
		err = s.manifest(args[2], args[3])
	case args[0] == "fetch" && len(args) == 3:
		if s.wait, err = time.ParseDuration(args[2]); err == nil {
			err = s.fetch()
		}
	case args[0] == "sum" && len(args) == 2:
		err = s.sums()
	case args[0] == "unlock" && len(args) == 2:
		err = s.unlock()
	default:
		err = fmt.Errorf("serve: request %q with %d arguments", args[0], len(args))
	}
	return errors.Join(err, w.Flush())
}

// server answers one request.
type server struct {
	ctx        context.Context
	top        int
	in         *bufio.Reader
	out        *bufio.Writer
	dents, buf []byte
	known      map[string]tuple // directories of messages, as the asker knows them
	attrs      bool             // a manifest with attributes
	messages   []string
	wait       time.Duration
	dir        string // the directory that was asked for last, open at
	at         int
	locked     map[string]bool // directories in which locks were taken
	head       []byte          // of a parcel
}

// alive tells whether anybody still wants the answer.
func (s *server) alive() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	_, err := s.out.Write(nil) // of a bufio.Writer: how the last flush ended
	return err
}

// say notes what could not be done.
func (s *server) say(path string, err error) {
	if !isAbsent(err) {
		s.messages = append(s.messages, fmt.Sprintf("%q: %v", path, err))
	}
}

func (s *server) names(n uint64) ([]string, error) {
	if n > most {
		return nil, fmt.Errorf("serve: %d bytes of names", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, err
	}
	return namesIn(b)
}

func namesIn(b []byte) (all []string, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	for p := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		name := strings.TrimPrefix(string(p), "./")
		if !validPath(name) {
			return nil, fmt.Errorf("serve: path %q", name)
		}
		all = append(all, name)
	}
	return all, nil
}

// enter opens the directory that holds a path; it stays open until the next call.
func (s *server) enter(p string) (dir int, name string, err error) {
	up, name := splitPath(p)
	if s.at < 0 || s.dir != up {
		closeFd(s.at)
		if s.at, name, err = openBelow(s.top, p); err != nil {
			return -1, "", err
		}
		s.dir = up
	}
	if p == "." {
		name = "."
	}
	return s.at, name, nil
}

// find looks at a path, in the directory that enter opens.
func (s *server) find(p string) (dir int, name string, st stat, err error) {
	if dir, name, err = s.enter(p); err == nil {
		st, err = statAt(dir, name)
	}
	return dir, name, st, err
}

// sums answers in sections; here all is read by descriptors, with the rights of root.
func (s *server) sums() error {
	for {
		head, err := s.in.ReadString('\n')
		if errors.Is(err, io.EOF) && head == "" {
			_, _ = s.out.WriteString("MAILMOVE\n")
			return nil
		}
		var uid, n uint64
		var gid string
		if err == nil {
			_, err = fmt.Sscan(head, &uid, &gid, &n)
		}
		if err != nil {
			return fmt.Errorf("serve: section %q: %w", head, err)
		}
		list, err := s.names(n)
		if err != nil {
			return err
		}
		for _, p := range list {
			if err := s.alive(); err != nil {
				return err
			}
			_ = s.sum(p) // one without a sum is missing from the answer
		}
	}
}

// sum writes a line as sha256sum(1) does.
func (s *server) sum(p string) error {
	dir, name, st, err := s.find(p)
	if err != nil || !st.regular() {
		return errors.Join(err, errSwapped)
	}
	fd, err := openSame(dir, name, &st, openFile)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	sum, err := sumOf(s.ctx, fd, st.size, s.buf)
	if err != nil {
		return err
	}
	esc := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(p)
	if esc != p {
		fmt.Fprint(s.out, `\`)
	}
	fmt.Fprintf(s.out, "%s  ./%s\n", hex.EncodeToString(sum[:]), esc)
	return nil
}

// unlock removes the dotlocks of mailboxes whose processes are dead and names the mailboxes that have none now.
func (s *server) unlock() error {
	b, err := io.ReadAll(s.in)
	if err != nil {
		return err
	}
	list, err := namesIn(b)
	if err != nil {
		return err
	}
	for _, p := range list {
		dir, name, err := openBelow(s.top, p)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(dir), p)
		err = lockfile.RemoveStale(f, name)
		f.Close()
		if err == nil {
			fmt.Fprintf(s.out, "%s\x00", p)
		}
	}
	_, err = s.out.WriteString("\x00")
	return err
}

// unlock has the dotlocks of dead processes removed and tells which of the mailboxes have none now.
func (r *remote) unlock(ctx context.Context, boxes []string) ([]string, error) {
	out, err := r.start(ctx, names(boxes), "unlock", "", r.top())
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(out, most))
	if err = joinEnd(err, out.Close()); err != nil {
		return nil, err
	}
	text, whole := strings.CutSuffix(string(b), "\x00")
	if !whole || text != "" && !strings.HasSuffix(text, "\x00") {
		return nil, errCut
	}
	var free []string
	for p := range strings.SplitSeq(strings.TrimSuffix(text, "\x00"), "\x00") {
		if slices.Contains(boxes, p) {
			free = append(free, p)
		}
	}
	return free, nil
}

func (s *server) readKnown() error {
	b, err := io.ReadAll(s.in)
	if err != nil || len(b) == 0 {
		return err
	}
	known := map[string]tuple{}
	c := &cursor{b: b}
	boot, clock := c.text(), c.text()
	for len(c.b) > 0 && !c.bad {
		name := c.text()
		known[name] = c.tuple()
	}
	if c.bad {
		return errors.New("serve: a list of directories that cannot be read")
	}
	if boot == bootID() && !clockStepped(clock, clockFact()) { // else times mean nothing
		s.known = known
	}
	return nil
}

func (s *server) clock() (now time.Time, boot unix.Timespec, err error) {
	err = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	return time.Now(), boot, err
}
