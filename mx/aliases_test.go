package mx

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAliases(t *testing.T) {
	names, problems := Aliases("etc/aliases", []byte("# comment\n\npostmaster: root\nRoot:\talice,\n\tbob, \"|/usr/bin/prog: x\"\n"+
		"\"Info.Desk\" : alice\r\nlist: :include:/etc/list\nroot: twice\nsales+x: bob\nno colon here\n\"a b\": x\n\"open: x\na@other.test: bob\n#x: y\n a: b\nlast: x"))
	require.Equal(t, []string{"postmaster", "root", "info.desk", "list", "sales+x", "last"}, names)
	var text []string
	for _, p := range problems {
		text = append(text, p.Error())
	}
	require.Equal(t, []string{
		`etc/aliases:10: "no colon here": wanted "name: where to"`,
		`etc/aliases:11: alias "a b": the part before @ has characters that a backup's tables cannot hold`,
		`etc/aliases:12: "\"open: x": wanted "name: where to"`,
		`etc/aliases:13: alias "a@other.test": the part before @ has characters that a backup's tables cannot hold`,
	}, text)
	names, problems = Aliases("x", nil)
	require.Empty(t, names)
	require.Empty(t, problems)
}

// FuzzAliases: every name can be a recipient, and no name is given twice.
func FuzzAliases(f *testing.F) {
	f.Add([]byte("postmaster: root\n\"a.b\": c\n x\n#\n:\n\""))
	f.Fuzz(func(t *testing.T, src []byte) {
		names, _ := Aliases("a", src)
		seen := map[string]bool{}
		for _, n := range names {
			require.False(t, seen[n], n)
			seen[n] = true
		}
		o := &Options{Recipients: names}
		require.NoError(t, checkNames(o, "example.test."))
		require.Len(t, o.Recipients, len(names))
	})
}
