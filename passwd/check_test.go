package passwd

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryEditIsChecked(t *testing.T) {
	const root = "root:x:0:0:::\n"
	for _, c := range []struct {
		name, before, after string
		ok                  bool
	}{
		{"etc/passwd", root + "# c\n", root + "# c\na:x:1:1:::\n", true},
		{"etc/passwd", root + "# c\n", root + "a:x:1:1:::\n", false},
		{"etc/passwd", "a\nb\n", "b\na\n", false},
		{"etc/passwd", root, "root:x:0:0:::,more\n", false}, // only groups may grow
		{"etc/passwd", root, root + "a:x:1:1:::/\x00\n", false},
		{"etc/passwd", root, root + "toor:x:0:0:::\n", true}, // not first, hence nobody to libc
		{"etc/passwd", root, "toor:x:0:0:::\n" + root, false},
		{"etc/passwd", root, " root:x:5:0:::\n" + root, false},
		{"etc/passwd", "# none\n", "# none\ntoor:x:0:0:::\n", false},
		{"etc/shadow", "root:*:1::::::\n", "x\x00\n", false},
		{"etc/shadow", "root:*:1::::::\n", "x\n", false},
		{"etc/shadow", "root:*:1::::::\n", "root::1::::::\nroot:*:1::::::\n", false},
		{"etc/shadow", "root:*:1::::::\n", "root:*:1::::::,\n", false},
		{"etc/shadow", "root:*:1::::::\r\nb:*:1::::::", "root:*:1::::::\r\nb:*:1::::::\nc:*:1::::::\n", true},
		{"etc/group", "g:x:1:a\n", "g:x:1:a,b\n", true},
		{"etc/group", "g:x:1:a\n", "g:x:1:ab\n", false},
		{"etc/group", "g:x:1:a\n", "g:x:1:b\n", false},
		{"etc/group", "g:x:1:a\n", "g:x:1:a:b\n", false},
		{"etc/group", "g:x:1:a,\n", "g:x:1:a,b\n", true},
		{"etc/group", "g:x:1:\n", "g:x:1:a\n", true},
		{"etc/group", "g:x:1\n", "g:x:1:a\n", true},
		{"etc/group", "g:x:1\n", "g:x:10:a\n", false},
		{"etc/group", "g:x:1:a:b\n", "g:x:1:a:b,c\n", false},
		{"etc/group", "g:x:1:a\r\n", "g:x:1:a,b\r\n", true},
		{"etc/gshadow", "g:!::a\r\n", "g:!::a,b\n", true},
		{"etc/gshadow", "g\n", "g:::a\n", true},
		{"etc/gshadow", "g\n", "g::a:b\n", false},
		{"etc/gshadow", "g:!:x\n", "g:!:x:a\n", true},
	} {
		p := &Plan{merged: true}
		_, err := p.changes([]Edits{further{c.name: {[]byte(c.before), []byte(c.after)}}})
		if c.ok {
			require.NoError(t, err, "%+v", c)
		} else {
			require.ErrorIs(t, err, ErrValue, "%+v", c)
			require.ErrorContains(t, err, c.name)
		}
	}
	for after, ok := range map[string]bool{
		"root:*:1::::::\na:new:2::::::\nb:*:1::::::\n": true,  // the password of somebody who moves
		"root:*:1::::::\na:*:1::::::\nb:new:2::::::\n": false, // and of somebody else
		"root:*:2::::::\na:*:1::::::\nb:*:1::::::\n":   false,
		"root:*:1::::::\na:new:2\nb:*:1::::::\n":       false, // libc could not read it
		"root:*:1::::::\na:new:2::::::\n":              false,
	} {
		p := &Plan{merged: true, Users: []UserChange{{Name: "a", To: "a", Action: ActionPresent}, {Name: "root", To: "root", Action: ActionPresent}, {Name: "b", To: "b", Action: ActionSkip}}}
		_, err := p.changes([]Edits{further{"etc/shadow": {[]byte("root:*:1::::::\na:*:1::::::\nb:*:1::::::\n"), []byte(after)}}})
		require.Equal(t, ok, err == nil, "%q: %v", after, err)
	}
	lost := &Plan{merged: true, Users: []UserChange{{Name: "a", To: "a", ToUID: 5, Action: ActionAdd}}}
	_, err := lost.changes([]Edits{further{"etc/passwd": {[]byte(root), []byte(root + "a:x:6:5:::\n")}}})
	require.ErrorIs(t, err, ErrValue)
}

func TestUnchangedEmptyFile(t *testing.T) {
	changes, err := (&Plan{merged: true}).changes([]Edits{further{"etc/subuid": {{}, {}}}})
	require.NoError(t, err)
	require.Empty(t, changes)
	for _, text := range [][2][]byte{{nil, {}}, {{}, nil}, {[]byte("a\n"), {}}} {
		_, err := (&Plan{merged: true}).changes([]Edits{further{"etc/subuid": text}})
		require.ErrorIs(t, err, ErrValue, "%q", text)
	}
}
