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

const (
	begun = "begun"
	done  = "done"
)

// entry is one line of the journal.
type entry struct {
	Time  time.Time `json:"time"`
	Step  string    `json:"step"`
	State string    `json:"state"`
}

// journal is append only. A last line without its newline was cut by a crash: it never took effect and is cut off again
// before the next line is written.
type journal struct {
	state map[string]string // step -> last state
	size  int64             // bytes up to the end of the last whole line
}

func readJournal(root *os.Root) (*journal, error) {
	j := &journal{state: map[string]string{}}
	old, err := atomicfile.Read(root, journalName)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	j.size = int64(bytes.LastIndexByte(old.Data, '\n') + 1)
	for i, l := range lines.Split(old.Data[:j.size]) {
		var e entry
		if err := json.Unmarshal(l.Text, &e); err != nil || e.Step == "" || (e.State != begun && e.State != done) {
			return nil, fmt.Errorf("%s:%d: not a line of a journal", journalName, i+1)
		}
		j.state[e.Step] = e.State
	}
	return j, nil
}

// add appends one line and waits until it is on stable storage.
func (j *journal) add(root *os.Root, step, state string) error {
	line, err := json.Marshal(entry{Time: time.Now().UTC().Truncate(time.Second), Step: step, State: state})
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
	return nil
}
