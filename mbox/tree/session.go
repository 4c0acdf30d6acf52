package tree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A program on the other host answers one request after the other, so that its start is paid for once. A request is
//
//	the number of words, then each: its length, its bytes; then length and bytes of the input
//
// and its answer
//
//	the number of the request, counted from 1; pieces, each: its length, which is not 0, its bytes; then 0, and length and bytes
//	of what went wrong, which is empty when all is well
//
// with all numbers as unsigned varints. One that does not keep to it, or whose answer nobody wants to its end, is given up, and the
// next request goes to another one.

// sessions are the programs that a Remote has on the other host.
type sessions struct {
	mu    sync.Mutex
	users int
	idle  []*session
}

// session is one of them.
type session struct {
	in   *io.PipeWriter // its stdin
	out  io.ReadCloser
	r    *bufio.Reader // of out
	stop context.CancelFunc
	n    uint64 // requests so far
}

// Keep lets a program on the other host that answers stay for the calls that follow, until end is called: else each of Sync, Diff
// and Verify starts its own. There is none without Helper.
func (r *Remote) Keep() (end func()) {
	p := &r.sessions
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.users--
		var idle []*session
		if p.users == 0 {
			idle, p.idle = p.idle, nil
		}
		p.mu.Unlock()
		for _, s := range idle {
			s.end()
		}
	})
}

// give takes back one whose answer has come to its end.
func (p *sessions) give(s *session) {
	p.mu.Lock()
	kept := p.users > 0
	if kept {
		p.idle = append(p.idle, s)
	}
	p.mu.Unlock()
	if !kept {
		s.end()
	}
}

func (p *sessions) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	s := p.idle[n]
	p.idle = p.idle[:n]
	return s
}

// open starts a program. It lives longer than the request that it is started for.
func (r *Remote) open(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	in, w := io.Pipe()
	out, err := r.Start(ctx, in, `exec "$@"`, r.Helper...)
	if err != nil {
		stop()
		in.Close()
		return nil, err
	}
	return &session{in: w, out: out, r: bufio.NewReaderSize(out, 64<<10), stop: stop}, nil
}

// kill ends the program at once; whoever reads or writes finds the line broken.
func (s *session) kill() {
	s.stop()
	s.in.CloseWithError(io.ErrClosedPipe)
}

// patience is how long a program may take to end that is asked nothing any more.
const patience = 5 * time.Second

// end lets the program end.
func (s *session) end() {
	s.in.Close()
	late := time.AfterFunc(patience, s.stop)
	_, _ = io.Copy(io.Discard, s.r)
	late.Stop()
	_ = s.out.Close() // all that was asked for has come
	s.stop()
}

// ask makes a request. Close of the answer tells what went wrong there.
func (r *Remote) ask(ctx context.Context, input []byte, words ...string) (io.ReadCloser, error) {
	head := binary.AppendUvarint(nil, uint64(len(words)))
	for _, w := range words {
		head = append(binary.AppendUvarint(head, uint64(len(w))), w...)
	}
	head = binary.AppendUvarint(head, uint64(len(input)))
	a := &answer{ctx: ctx, pool: &r.sessions}
	if s := r.sessions.take(); s != nil {
		a.send(s, head, input)
		a.again = func() error { return a.anew(r, head, input) }
		return a, nil
	}
	s, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	a.send(s, head, input)
	return a, nil
}

// send makes the request to a program.
func (a *answer) send(s *session, head, input []byte) {
	s.n++
	a.s, a.sent = s, make(chan error, 1)
	a.unwatch = context.AfterFunc(a.ctx, s.kill)
	sent := a.sent
	go func() { // it may answer before it has read all
		_, err := s.in.Write(head)
		if err == nil && len(input) > 0 {
			_, err = s.in.Write(input)
		}
		sent <- err
	}()
}

// anew makes the request to another program in the place of one that had ended while nobody asked it.
func (a *answer) anew(r *Remote, head, input []byte) error {
	a.unwatch()
	a.s.kill()
	_ = a.s.out.Close() // it told nothing
	s, err := r.open(a.ctx)
	if err == nil {
		a.send(s, head, input)
	}
	return err
}

// answer is what comes upon a request.
type answer struct {
	ctx     context.Context // of the request
	s       *session
	pool    *sessions
	sent    chan error
	unwatch func() bool
	again   func() error // asks another program; nil: this one was started for the request, or it is the other one

	begun, ended, shut bool
	left               uint64 // of the piece at hand
	err, said          error
}

func (a *answer) Read(b []byte) (int, error) {
	for a.err == nil && a.left == 0 {
		a.err = a.next()
	}
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.s.r.Read(b[:min(uint64(len(b)), a.left)])
	a.left -= uint64(n)
	if err != nil {
		a.err = unfinished(err)
	}
	return n, a.err
}

// next reads what is between two pieces; io.EOF: there is no further one.
func (a *answer) next() error {
	if !a.begun {
		n, err := binary.ReadUvarint(a.s.r)
		if again := a.again; errors.Is(err, io.EOF) && again != nil && a.ctx.Err() == nil { // not a byte of an answer: it had not begun
			a.again = nil
			if err = again(); err == nil {
				n, err = binary.ReadUvarint(a.s.r)
			}
		}
		if err != nil {
			return unfinished(err)
		}
		if a.begun = true; n != a.s.n {
			return fmt.Errorf("the other host answers request %d, wanted an answer to request %d", n, a.s.n)
		}
	}
	n, err := binary.ReadUvarint(a.s.r)
	if a.left = n; err != nil || n > 0 {
		return unfinished(err)
	}
	if n, err = binary.ReadUvarint(a.s.r); err != nil {
		return unfinished(err)
	}
	const most = 64 << 10
	if n > most {
		return fmt.Errorf("the other host tells an error in %d bytes", n)
	}
	text := make([]byte, n)
	if _, err = io.ReadFull(a.s.r, text); err != nil {
		return unfinished(err)
	}
	if n > 0 {
		a.said = fmt.Errorf("the program on the other host: %q", text)
	}
	a.ended = true
	return io.EOF
}

// unfinished is the end of a stream in the middle of something.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close gives the error of the answer, or of the program that ended in the middle of it. To give up an answer is no error.
func (a *answer) Close() error {
	if a.shut {
		return a.said
	}
	a.shut = true
	if a.ended && <-a.sent == nil && a.unwatch() {
		a.pool.give(a.s)
		return a.said
	}
	a.unwatch()
	dead := errors.Is(a.err, io.ErrUnexpectedEOF)
	if dead && a.ctx.Err() == nil {
		a.s.in.CloseWithError(io.ErrClosedPipe)
	} else {
		a.s.kill()
	}
	err := a.s.out.Close()
	a.s.stop()
	switch {
	case a.ctx.Err() != nil:
		a.said = a.ctx.Err()
	case a.said == nil && dead:
		a.said = err
	}
	return a.said
}

// asked is a request as it comes to the program.
type call struct {
	words []string
	input []byte
}

// serveEach has each request answered that comes. The error is of the line. When nobody asks any more, or waits for an answer, the
// ctx of the answer under way ends.
func serveEach(ctx context.Context, in io.Reader, out io.Writer, each func(ctx context.Context, words []string, in io.Reader, out io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	calls := make(chan call)
	var broken error
	go func() {
		defer close(calls)
		defer cancel()
		for r := bufio.NewReaderSize(in, 64<<10); ; {
			c, err := readCall(r)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					broken = err
				}
				return
			}
			select {
			case calls <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	n := uint64(0)
	for c := range calls {
		n++
		if _, err := out.Write(binary.AppendUvarint(nil, n)); err != nil {
			return err
		}
		said := ""
		if err := each(ctx, c.words, bytes.NewReader(c.input), pieces{out}); err != nil {
			said = err.Error()
			said = said[:min(len(said), 1000)]
		}
		end := binary.AppendUvarint([]byte{0}, uint64(len(said)))
		if _, err := out.Write(append(end, said...)); err != nil {
			return err
		}
	}
	return broken
}

// pieces writes an answer.
type pieces struct{ w io.Writer }

func (p pieces) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if _, err := p.w.Write(binary.AppendUvarint(nil, uint64(len(b)))); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// most is the largest input that is taken.
const most = 1 << 30

// readCall gives io.EOF when there is no further one.
func readCall(r *bufio.Reader) (c call, err error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return c, err
	}
	if n > 16 {
		return c, fmt.Errorf("serve: a request of %d words", n)
	}
	for range n {
		w, err := readSized(r, 1<<20)
		if err != nil {
			return c, err
		}
		c.words = append(c.words, string(w))
	}
	c.input, err = readSized(r, most)
	return c, err
}

// readSized reads a length and so many bytes. Memory grows with what comes, not with what is announced.
func readSized(r *bufio.Reader, most uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, unfinished(err)
	}
	if n > most {
		return nil, fmt.Errorf("serve: %d bytes", n)
	}
	var b bytes.Buffer
	_, err = io.CopyN(&b, r, int64(n))
	return b.Bytes(), unfinished(err)
}
