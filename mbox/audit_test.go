package mbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func audit(t *testing.T, src string) *Report {
	t.Helper()
	r, err := Audit(context.Background(), strings.NewReader(src), int64(len(src)))
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(src))
	require.Equal(t, hex.EncodeToString(sum[:]), r.SHA256)
	return r
}

func TestAuditProblems(t *testing.T) {
	clean := head(base, "X-UID: 3") + head("X-UID: 7")
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"clean", clean, []string{}},
		{"empty", "", []string{}},
		{"refused", "\n" + clean, []string{"first line is no From_ line: Dovecot refuses the mailbox"}},
		{"disagreement", head(base, "X-UID: 1") + "From x\n\n", []string{`2 lines begin with "From ", Dovecot takes 1 of them for messages`}},
		{"hidden", strings.Replace(withLength(embedded, 0), "\n", "\n"+base+"\nX-UID: 1\n", 1), []string{`2 lines begin with "From ", Dovecot takes 1 of them for messages`, "Content-Length hides 1 From_ lines"}},
		{"wrong length", strings.Replace(withLength("text", -2), "\n", "\n"+base+"\nX-UID: 1\n", 1), []string{"1 Content-Length headers are wrong", "2 bytes follow the last message"}},
		{"NUL tail", clean + strings.Repeat("\x00", 4096), []string{"4096 bytes follow the last message", "4096 NUL bytes", "last line has no end"}},
		{"NULs inside", strings.Replace(clean, "body", "b\x00dy", 1), []string{"1 NUL bytes"}},
		{"no end", strings.TrimSpace(clean), []string{"last line has no end"}},
		{"no base", head("X-UID: 1"), []string{"no X-IMAPbase in the first message: Dovecot numbers the messages anew", "X-UID stands before X-IMAPbase and is ignored"}},
		{"uids", head("X-UID: 1", base) + head("X-UID: x") + head("X-UID: 3") + head("X-UID: 9999") + head("S: 1"), []string{
			"1 messages have no X-UID", "X-UID stands before X-IMAPbase and is ignored", "1 X-UID headers are no numbers",
			"1 X-UID headers do not rise", "1 X-UID headers are above the last UID"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, audit(t, c.src).Problems()) })
	}
}

func TestAuditNumbers(t *testing.T) {
	r := audit(t, "From a Thu Jan  1 00:00 2015\r\nS: 1\n\n>From x\n> From y\n>>>From z\n>From\nlonger than any other line in this mailbox\r\n\n")
	require.Equal(t, 2, r.Quoted)
	require.EqualValues(t, 9, r.Lines)
	require.EqualValues(t, 2, r.CRLF)
	require.EqualValues(t, 42, r.Longest)
	require.Zero(t, r.AfterLast)
	require.False(t, r.NoFinalNewline)
}

func TestAuditJSON(t *testing.T) {
	src := head("Subject: secret") + "secret"
	data, err := json.Marshal(audit(t, src))
	require.NoError(t, err)
	require.NotContains(t, string(data), "secret")
	var keys map[string]any
	require.NoError(t, json.Unmarshal(data, &keys))
	for _, key := range []string{"size", "sha256", "strict", "lax", "quoted", "keywords", "uidvalidity", "longest_line"} {
		require.Contains(t, keys, key)
	}
	require.Equal(t, []any{}, keys["keywords"])
}

func TestAuditErrors(t *testing.T) {
	_, err := Audit(context.Background(), failing{}, 5)
	require.Error(t, err)
}
