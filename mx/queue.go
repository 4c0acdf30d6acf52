package mx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// Queued is one recipient of a message that waits on the backup.
type Queued struct {
	ID        string `json:"id"`        // of the message
	Recipient string `json:"recipient"` // address
	Reason    string `json:"reason"`    // why it was not delivered yet; may be empty
}

// Run runs a program on the backup, no shell between, and returns what it wrote to stdout.
type Run func(ctx context.Context, name string, args ...string) ([]byte, error)

// QueueOf lists the queue with the backup's own programs: "postqueue -j" of Postfix 3.1 and later, else mailq. A queue is
// called empty only where mailq, which belongs to the mail server in use, does not speak against it: a postqueue that was
// left behind by another mail server sees none.
func QueueOf(run Run) func(ctx context.Context) ([]Queued, error) {
	return func(ctx context.Context) ([]Queued, error) {
		out, err := run(ctx, "postqueue", "-j")
		if err == nil {
			queued, err := PostfixQueue(out)
			if err != nil || len(queued) > 0 {
				return queued, err
			}
		}
		text, mailqErr := run(ctx, "mailq", "-v") // without -v sendmail cuts recipients
		switch {
		case mailqErr == nil:
			return Mailq(text)
		case err == nil && hostcmd.Absent(mailqErr):
			return nil, nil
		case err == nil:
			return nil, mailqErr
		}
		return nil, errors.Join(err, mailqErr)
	}
}

// PostfixQueue reads the output of "postqueue -j" (postqueue(1)): one JSON object for each message, all queues included.
// The error names the object that cannot be read; the recipients before it are returned.
func PostfixQueue(src []byte) ([]Queued, error) {
	var out []Queued
	d := json.NewDecoder(bytes.NewReader(src))
	for n := 1; ; n++ {
		var m struct {
			Queue      string `json:"queue_name"`
			ID         string `json:"queue_id"`
			Recipients []struct {
				Address string `json:"address"`
				Reason  string `json:"delay_reason"`
			} `json:"recipients"`
		}
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, fmt.Errorf("postqueue -j: message %d: %w", n, err)
		case m.ID == "":
			return out, fmt.Errorf("postqueue -j: message %d: no queue_id", n)
		}
		for _, r := range m.Recipients {
			reason := r.Reason
			if m.Queue == "hold" {
				reason = join("on hold", reason)
			}
			out = append(out, Queued{ID: m.ID, Recipient: r.Address, Reason: reason})
		}
	}
}

// Mailq reads the output of "mailq -v" of sendmail, or of "mailq" of Postfix (mailq(1)). The error names the line that
// cannot be read, or tells that the text is no list of a queue; the recipients before it are returned.
func Mailq(src []byte) ([]Queued, error) {
	var out []Queued
	var id, reason string
	known := false
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		text := strings.TrimSpace(line)
		switch {
		case text == "":
		case mailqFrame(text):
			known, id = true, ""
		case line[0] != ' ' && line[0] != '\t':
			// A mark follows the ID: in the active queue, on hold, locked, too busy.
			id, reason = strings.TrimRight(strings.Fields(text)[0], "*!#-?+"), ""
		case id == "":
			return out, fmt.Errorf("mailq: line %d: %q: wanted a message first", n, clean(text))
		case strings.HasPrefix(text, "(---"): // the controlling user of sendmail
		case strings.HasPrefix(text, "(") || mailqBody(text):
			_, why, _ := strings.Cut(text, "(")
			reason = strings.TrimSuffix(why, ")")
		case strings.HasPrefix(text, "<") && !strings.HasSuffix(text, ">"):
			return out, fmt.Errorf("mailq: line %d: %q: the recipient is cut, wanted the output of mailq -v", n, clean(text))
		default:
			out = append(out, Queued{ID: id, Recipient: strings.Trim(text, "<>"), Reason: reason})
		}
	}
	if !known {
		return out, errors.New("mailq: no list of a queue")
	}
	return out, nil
}

// mailqFrame recognises the lines around the messages: "/var/spool/mqueue (2 requests)", "Mail queue is empty" ...
func mailqFrame(text string) bool {
	for _, begin := range []string{"-----Q-ID-----", "-Queue ID-", "-- ", "Total requests:"} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return strings.HasSuffix(text, " is empty") || strings.HasPrefix(text, "/") && strings.Contains(text, " request")
}

// mailqBody recognises the kind of a body, which sendmail writes before the reason.
func mailqBody(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	return word == "8BITMIME" || word == "7BIT" || word == "BINARYMIME"
}
