package passwd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func manyUsers(prefix string, from, n uint32) (passwd, group string) {
	var p, g strings.Builder
	for id := from; id < from+n; id++ {
		fmt.Fprintf(&p, "%s%d:x:%d:%d:Some Body,,,:/home/%s%d:/bin/bash\n", prefix, id, id, id, prefix, id)
		fmt.Fprintf(&g, "%s%d:x:%d:\n", prefix, id, id)
	}
	return p.String(), g.String()
}

func BenchmarkParse100k(b *testing.B) {
	p, _ := manyUsers("user", 1000, 100000)
	src := []byte(p)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		Parse("etc/passwd", src)
	}
}

// The files are parsed each time: all but reading and writing them counts.
func BenchmarkMerge100kInto100k(b *testing.B) {
	p, g := manyUsers("old", 1000, 100000)
	q, h := manyUsers("new", 1000, 100000)
	b.ReportAllocs()
	for b.Loop() {
		old := hostOf(oldSystem+p, oldGroups+g, "UID_MIN 500\nUID_MAX 400000\nGID_MAX 400000\n")
		new := hostOf(newSystem+q, newGroups+h, "UID_MIN 1000\nUID_MAX 400000\nGID_MAX 400000\n")
		plan := Merge(old, new, nil)
		require.Empty(b, plan.Conflicts)
		require.Equal(b, 100000-2, len(plan.Users), "all but 65534 and 65535")
	}
}

func BenchmarkMergeAgain60k(b *testing.B) {
	p, g := manyUsers("user", 1000, 60000)
	old, new := hostOf(oldSystem+p, oldGroups+g, oldDefs), hostOf(newSystem+p, newGroups+g, newDefs)
	b.ReportAllocs()
	for b.Loop() {
		require.Empty(b, Merge(old, new, nil).Changed)
	}
}
