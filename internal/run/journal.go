package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/lines"
)

const journalName = "journal"

// State is how far a step came.
type State string

// The states. Undone is that of a step whose effects were taken back: it is as if it had never begun.
const (
	Begun  State = "begun"
	Done   State = "done"
	Undone State = "undone"
)

// Entry is one line of the journal.
type Entry struct {
	Time  time.Time `json:"time"` // UTC, to the millisecond
	Step  string    `json:"step"`
	State State     `json:"state"`
}

// journal is append only. A last line without its newline was cut by a crash: it never took effect and is cut off again
// before the next line is written.
type journal struct {
	state map[string]State // step -> last state
	all   []Entry
	size  int64 // bytes up to the end of the last whole line
}

func readJournal(root *os.Root) (*journal, error) {
	j := &journal{state: map[string]State{}}
	old, err := atomicfile.Read(root, journalName)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	j.size = int64(bytes.LastIndexByte(old.Data, '\n') + 1)
	for i, l := range lines.Split(old.Data[:j.size]) {
		var e Entry
		if err := json.Unmarshal(l.Text, &e); err != nil || e.Step == "" || (e.State != Begun && e.State != Done && e.State != Undone) {
			return nil, fmt.Errorf("%s:%d: not a line of a journal", journalName, i+1)
		}
		j.state[e.Step] = e.State
		j.all = append(j.all, e)
	}
	return j, nil
}

// add appends one line and waits until it is on stable storage.
func (j *journal) add(root *os.Root, step string, state State) error {
	e := Entry{Time: time.Now().UTC().Truncate(time.Millisecond), Step: step, State: state}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	f, err := root.OpenFile(journalName, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(j.size); err != nil {
		return err
	}
	if _, err := f.WriteAt(line, j.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if j.size == 0 { // the file is new: its name must be durable too
		if err := syncDir(root); err != nil {
			return err
		}
	}
	j.size += int64(len(line))
	j.state[step] = state
	j.all = append(j.all, e)
	return nil
}
