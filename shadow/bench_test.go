package shadow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/shadow"
)

// crowd gives n users from the first on.
func crowd(first, n int) (text string, names []shadow.Rename) {
	var b strings.Builder
	for i := range n {
		name := fmt.Sprintf("user%06d", first+i)
		fmt.Fprintf(&b, "%s:$6$%08d$%s:14700:0:99999:7:::\n", name, first+i, sha512Hash[12:])
		names = append(names, shadow.Rename{From: name, To: name})
	}
	return b.String(), names
}

func BenchmarkParse(b *testing.B) {
	text, _ := crowd(0, 100000)
	src := []byte(text)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		shadow.Parse("etc/shadow", src)
	}
}

// The files are parsed each time: all but reading and writing them counts.
func BenchmarkMerge(b *testing.B) {
	oldText, names := crowd(0, 100000)
	newText, _ := crowd(500000, 100000)
	b.ReportAllocs()
	for b.Loop() {
		old, target := host(oldText, ""), host(newText, "")
		shadow.Merge(old, target, &shadow.Options{Users: names})
	}
}
