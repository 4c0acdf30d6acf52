package hostcmd

import "sync"

// tail keeps the end of what is written to it: whoever fills stderr fills no memory.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailMost = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p[max(0, len(p)-tailMost):]...)
	t.last = t.last[max(0, len(t.last)-tailMost):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

func (t *tail) line() string { return lastLine(t.String()) }
