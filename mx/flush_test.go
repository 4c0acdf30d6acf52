package mx

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlushCodes(t *testing.T) {
	for _, c := range []struct {
		reply  string
		code   int
		status Status
		queued int // -1: unknown
		text   string
	}{
		{"250 2.0.0 Queuing started", 250, Unproven, -1, "not seen"},
		{"251 OK, no messages waiting for node example.test", 251, Unproven, 0, "no messages"},
		{"252 OK, pending messages for node example.test started", 252, Unproven, -1, "not seen"},
		{"253 OK, 17 pending messages for node example.test started", 253, Unproven, 17, "pending"},
		{"253 2.0.0 3 pending messages", 253, Unproven, 3, "pending"},
		{"253 OK, many pending messages", 253, Unproven, -1, "pending"},
		{"253 OK, -4 pending messages", 253, Unproven, -1, "pending"},
		{"458 Unable to queue messages for node example.test", 458, Fail, -1, "could not start"},
		{"459 4.7.1 Node example.test not allowed", 459, Fail, -1, "fast_flush_domains"},
		{"500 Syntax Error", 500, Fail, -1, "does not know ETRN"},
		{"501 Syntax Error in Parameters", 501, Fail, -1, "does not understand"},
		{"502 5.5.1 not implemented", 502, Fail, -1, "does not know ETRN"},
		{"530 5.7.0 Must issue a STARTTLS command first", 530, Fail, -1, "TLS"},
		{"554 5.7.1 Client host rejected: Access denied", 554, Fail, -1, "does not allow"},
		{"454 4.7.1 <example.test>: Etrn command rejected: Access denied", 454, Fail, -1, "does not allow"}, // Postfix with soft_bounce
		{"450 4.7.1 Client host rejected", 450, Fail, -1, "does not allow"},
		{"421 4.4.2 closing", 421, Unknown, -1, "closes"},
		{"451 4.3.0 try again", 451, Unknown, -1, "unexpected"},
		{"200 fine", 200, Unknown, -1, "unexpected"},
		{"", 0, Unknown, -1, "EOF"},
		{"nonsense", 0, Unknown, -1, "not an SMTP reply"},
	} {
		t.Run(c.reply, func(t *testing.T) {
			s := healthy().with("ETRN", c.reply).start(t)
			r, err := Flush(t.Context(), s.addr, "Example.Test", nil)
			require.NoError(t, err)
			require.Equal(t, c.status, r.Status, r.Detail)
			require.Equal(t, c.code, r.Code)
			require.Contains(t, r.Detail, c.text)
			require.Contains(t, s.log(), "ETRN example.test")
			if c.queued < 0 {
				require.Nil(t, r.Queued)
			} else {
				require.Equal(t, c.queued, *r.Queued)
			}
			require.NotNil(t, r.Left)
		})
	}
}

func TestFlushUnreachable(t *testing.T) {
	opt := &FlushOptions{Dial: dialTo(nil)}
	r, err := Flush(t.Context(), "mx2.example.test", "example.test", opt)
	require.NoError(t, err)
	require.Equal(t, Unknown, r.Status)
	require.Zero(t, r.Code)

	busy := greeting("421 busy").start(t)
	r, err = Flush(t.Context(), busy.addr, "example.test", nil)
	require.NoError(t, err)
	require.Equal(t, Unknown, r.Status)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Flush(ctx, "mx2.example.test", "example.test", opt)
	require.ErrorIs(t, err, context.Canceled)
}

// A server that wants TLS first gets it.
func TestFlushUnderTLS(t *testing.T) {
	s := healthy().with("ETRN", "530 5.7.0 Must issue a STARTTLS command first|250 2.0.0 Queuing started").secured(certificate(t, "other.test")).start(t)
	r, err := Flush(t.Context(), s.addr, "example.test", nil)
	require.NoError(t, err)
	require.Equal(t, 250, r.Code, "%s", r)
	require.Equal(t, Unproven, r.Status)
	require.Contains(t, s.log(), "STARTTLS\nEHLO")
	s = healthy().with("ETRN", "530 5.7.0 Must issue a STARTTLS command first", "STARTTLS", "454 4.7.0 not now").start(t)
	r, err = Flush(t.Context(), s.addr, "example.test", nil)
	require.NoError(t, err)
	require.Equal(t, Fail, r.Status)
	require.Equal(t, 530, r.Code)
	require.Contains(t, r.Detail, "454")
}

func TestFlushArguments(t *testing.T) {
	for _, c := range [][2]string{
		{"mx2.example.test", "@example.test"}, {"mx2.example.test", "#example.test"}, {"mx2.example.test", ""},
		{"", "example.test"}, {"mx2.example.test:0", "example.test"}, {"mx2.example.test:99999", "example.test"},
		{"mx2 x", "example.test"}, {"mx2.example.test", "a\r\nQUIT"}, {"mx2.example.test", "192.0.2.1"},
	} {
		_, err := Flush(t.Context(), c[0], c[1], &FlushOptions{Dial: dialTo(nil)})
		require.Error(t, err, "%q", c)
	}
	for in, want := range map[string]string{
		"mx2.example.test": "mx2.example.test:25", "mx2.example.test:2525": "mx2.example.test:2525", "192.0.2.1": "192.0.2.1:25",
		"192.0.2.1:26": "192.0.2.1:26", "2001:db8::1": "[2001:db8::1]:25", "[2001:db8::1]:26": "[2001:db8::1]:26",
	} {
		got, err := endpoint(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
}

const postqueueOutput = `{"queue_name": "deferred", "queue_id": "4X1", "arrival_time": 1795430000, "message_size": 312, "forced_expire": false, "sender": "a@client.example", "recipients": [{"address": "alice@Example.TEST", "delay_reason": "connect to 192.0.2.1[192.0.2.1]:25: Connection timed out"}, {"address": "x@other.test"}]}
{"queue_name": "hold", "queue_id": "4X2", "arrival_time": 1795430000, "message_size": 312, "sender": "", "recipients": [{"address": "bob@example.test"}]}
{"queue_name": "active", "queue_id": "4X3", "recipients": [{"address": "bob@sub.example.test"}]}
`

func TestPostfixQueue(t *testing.T) {
	q, err := PostfixQueue([]byte(postqueueOutput))
	require.NoError(t, err)
	require.Equal(t, []Queued{
		{"4X1", "alice@Example.TEST", "connect to 192.0.2.1[192.0.2.1]:25: Connection timed out"},
		{"4X1", "x@other.test", ""}, {"4X2", "bob@example.test", "on hold"}, {"4X3", "bob@sub.example.test", ""},
	}, q)
	q, err = PostfixQueue(nil)
	require.NoError(t, err)
	require.Empty(t, q)
	for _, bad := range []string{"Mail queue is empty", `{"queue_id": "1"} {`, `{}`, `[]`} {
		_, err = PostfixQueue([]byte(bad))
		require.ErrorContains(t, err, "message", bad)
	}
}

func TestDrain(t *testing.T) {
	s := healthy().start(t)
	var looks atomic.Int32
	full, err := PostfixQueue([]byte(postqueueOutput))
	require.NoError(t, err)

	r, err := Flush(t.Context(), s.addr, "example.test", &FlushOptions{Poll: time.Millisecond, Queue: func(context.Context) ([]Queued, error) {
		if looks.Add(1) < 3 {
			return full, nil
		}
		return full[3:], nil // only the subdomain's, which is another domain
	}})
	require.NoError(t, err)
	require.Equal(t, OK, r.Status)
	require.Zero(t, *r.Queued)
	require.EqualValues(t, 3, looks.Load())
	out, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, `{"status":"ok","code":250,"queued":0,"detail":"the queue holds nothing of the domain; ETRN was answered with 250","left":[]}`, string(out))

	r, err = Flush(t.Context(), s.addr, "example.test", &FlushOptions{Poll: time.Millisecond, Wait: 20 * time.Millisecond,
		Queue: func(context.Context) ([]Queued, error) { return full, nil }})
	require.NoError(t, err)
	require.Equal(t, Fail, r.Status)
	require.Equal(t, 2, *r.Queued)
	require.Len(t, r.Left, 2)
	require.Contains(t, r.Detail, "Connection timed out")

	r, err = Flush(t.Context(), s.addr, "example.test", &FlushOptions{
		Queue: func(context.Context) ([]Queued, error) { return nil, errors.New("permission denied") }})
	require.NoError(t, err)
	require.Equal(t, Unproven, r.Status)
	require.Contains(t, r.Detail, "permission denied")
	require.Nil(t, r.Queued)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = Flush(ctx, s.addr, "example.test", &FlushOptions{Wait: time.Hour, Poll: time.Hour,
		Queue: func(context.Context) ([]Queued, error) { cancel(); return full, nil }})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPending(t *testing.T) {
	for text, want := range map[string]int{"OK, 3 pending messages": 3, "pending": -1, "": -1, strings.Repeat("9", 30) + " pending": -1} {
		n, ok := pending(text)
		require.Equal(t, want >= 0, ok, text)
		if ok {
			require.Equal(t, want, n)
		}
	}
}
