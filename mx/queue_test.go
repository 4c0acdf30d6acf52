package mx

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// As sendmail 8.17 and Postfix 3.7 write them.
const sendmailMailq = "\t\t/var/spool/mqueue (2 requests)\n" +
	"-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------\n" +
	"6APLWOqv000030*      31      30031 Nov 25 21:32 <s@client.test>\n" +
	"      8BITMIME   (Deferred: Connection refused by [192.0.2.1])\n" +
	"\t\t\t\t      (---root---)\n" +
	"\t\t\t\t\t <alice@example.test>\n\t\t\t\t\t <bob@example.test>\n" +
	"6APLWOqv000031       31      30031 Nov 25 21:33 <s@client.test>\n\t\t\t\t\t <x@other.test>\n" +
	"\t\tTotal requests: 2\n"

const postfixMailq = `-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
4X1*         273 Wed Nov 25 21:15:28  s@client.test
         (connect to 192.0.2.1[192.0.2.1]:25: Connection refused)
                                         alice@example.test
                                         bob@example.test

4X2!         273 Wed Nov 25 21:15:28  MAILER-DAEMON
                                         x@other.test

-- 0 Kbytes in 2 Requests.
`

func TestMailq(t *testing.T) {
	q, err := Mailq([]byte(sendmailMailq))
	require.NoError(t, err)
	why := "Deferred: Connection refused by [192.0.2.1]"
	require.Equal(t, []Queued{{"6APLWOqv000030", "alice@example.test", why}, {"6APLWOqv000030", "bob@example.test", why}, {"6APLWOqv000031", "x@other.test", ""}}, q)
	q, err = Mailq([]byte(postfixMailq))
	require.NoError(t, err)
	why = "connect to 192.0.2.1[192.0.2.1]:25: Connection refused"
	require.Equal(t, []Queued{{"4X1", "alice@example.test", why}, {"4X1", "bob@example.test", why}, {"4X2", "x@other.test", ""}}, q)
	for _, empty := range []string{"Mail queue is empty\n", "/var/spool/mqueue is empty\n\t\tTotal requests: 0\n"} {
		q, err = Mailq([]byte(empty))
		require.NoError(t, err)
		require.Empty(t, q)
	}
	for bad, text := range map[string]string{
		"": "no list", "You are not permitted to see the queue\n": "no list", "\t<a@b>\n": "line 1",
		"/var/spool/mqueue (1 request)\nID 1 <s>\n\t<a-very-long-recipient-that-was-cut@exam\n": "line 3: \"<a-very-long-recipient-that-was-cut@exam\": the recipient is cut",
	} {
		_, err = Mailq([]byte(bad))
		require.ErrorContains(t, err, text)
	}
}

// Emptiness is believed only when the mail server in use says it.
func TestQueueOf(t *testing.T) {
	absent, broken := error(&exec.Error{Name: "x", Err: exec.ErrNotFound}), errors.New("connection closed")
	for _, c := range []struct {
		name             string
		postqueue, mailq any // output, or error
		left             int
		err              string
	}{
		{"Postfix", postqueueOutput, absent, 4, ""},
		{"Postfix, empty", "", "Mail queue is empty\n", 0, ""},
		{"Postfix without mailq, empty", "", absent, 0, ""},
		{"old Postfix", broken, postfixMailq, 3, ""},
		{"sendmail", absent, sendmailMailq, 3, ""},
		{"sendmail with a Postfix left behind", "", sendmailMailq, 3, ""},
		{"mailq fails", "", broken, 0, "closed"},
		{"mailq says nothing", "", "", 0, "no list"},
		{"neither", absent, absent, 0, "not found"},
		{"not JSON", "x", absent, 0, "message 1"},
	} {
		q, err := QueueOf(func(_ context.Context, name string, _ ...string) ([]byte, error) {
			out := c.postqueue
			if name == "mailq" {
				out = c.mailq
			}
			if err, ok := out.(error); ok {
				return nil, err
			}
			return []byte(out.(string)), nil
		})(t.Context())
		if c.err != "" {
			require.ErrorContains(t, err, c.err, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Len(t, q, c.left, c.name)
	}
}

// FuzzMailq: no text makes the reader panic, and what it reads has a message.
func FuzzMailq(f *testing.F) {
	f.Add([]byte(sendmailMailq))
	f.Add([]byte(postfixMailq))
	f.Add([]byte("\n \n/ request\n-\n <"))
	f.Fuzz(func(t *testing.T, src []byte) {
		q, _ := Mailq(src)
		for _, x := range q {
			require.NotEmpty(t, x.ID)
			require.NotContains(t, x.Recipient, "\n")
		}
	})
}
