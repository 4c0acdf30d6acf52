package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/passwd"
)

// TestManyStay: who fills a spool that everybody may write to fills no report; a user who stays behind is always named.
func TestManyStay(t *testing.T) {
	from := t.TempDir()
	spool := filepath.Join(from, "var/mail")
	require.NoError(t, os.MkdirAll(spool, 0o755))
	for i := range mostStays + 7 {
		require.NoError(t, os.WriteFile(filepath.Join(spool, fmt.Sprintf("junk%d", i)), []byte("x"), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(spool, "zora"), []byte("x"), 0o600))
	m := &migration{from: from}
	p := &plan{Users: []passwd.UserChange{{Name: "zora", Action: passwd.ActionSkip}}}
	require.NoError(t, p.judgeSpool(t.Context(), m, "var/mail"))
	require.Len(t, p.Findings, mostStays+2)
	require.Equal(t, "mail that is not copied: its user stays behind", p.Findings[mostStays].Detail)
	require.Equal(t, "mail STAYS /var/mail: and 7 more that are not copied, for they belong to no user who moves", p.Findings[mostStays+1].String())
}
