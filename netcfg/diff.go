package netcfg

import (
	"fmt"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

const diffContext = 3

// unified gives the difference of two texts as diff -u prints it, "" when there is none. before is nil for a file that
// does not exist, after for one that goes.
func unified(path string, before, after []byte) string {
	a, b := diffLines(before), diffLines(after)
	ops := diffOps(a, b)
	var out strings.Builder
	for i := 0; i < len(ops); {
		if ops[i].kind == ' ' {
			i++
			continue
		}
		start := max(0, i-diffContext)
		end, last := i, i
		for ; end < len(ops) && end-last <= 2*diffContext; end++ {
			if ops[end].kind != ' ' {
				last = end
			}
		}
		end = min(len(ops), last+1+diffContext)
		hunk(&out, ops[start:end])
		i = end
	}
	if out.Len() == 0 && (before == nil) == (after == nil) {
		return ""
	}
	name := func(prefix string, src []byte) string {
		if src == nil {
			return "/dev/null"
		}
		return prefix + path
	}
	return "--- " + name("a/", before) + "\n+++ " + name("b/", after) + "\n" + out.String()
}

// diffLines keeps the line ends, so that a changed one is a changed line.
func diffLines(src []byte) []string {
	var out []string
	for _, l := range lines.Split(src) {
		out = append(out, string(l.Text)+string(l.EOL))
	}
	return out
}

type diffOp struct {
	kind byte // ' ', '-' or '+'
	text string
	a, b int // lines before this one in each text
}

func hunk(out *strings.Builder, ops []diffOp) {
	var na, nb int
	for _, op := range ops {
		if op.kind != '+' {
			na++
		}
		if op.kind != '-' {
			nb++
		}
	}
	place := func(at, n int) string {
		switch n {
		case 0:
			return fmt.Sprintf("%d,0", at)
		case 1:
			return fmt.Sprint(at + 1)
		}
		return fmt.Sprintf("%d,%d", at+1, n)
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", place(ops[0].a, na), place(ops[0].b, nb))
	for _, op := range ops {
		out.WriteByte(op.kind)
		out.WriteString(op.text)
		if !strings.HasSuffix(op.text, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// diffOps finds a shortest edit script (Myers, "An O(ND) Difference Algorithm", 1986).
func diffOps(a, b []string) []diffOp {
	offset := len(a) + len(b) + 1
	v := make([]int, 2*offset+1)
	var trace [][]int
search:
	for d := 0; d < offset; d++ {
		trace = append(trace, append([]int(nil), v[offset-d:offset+d+1]...))
		for k := -d; k <= d; k += 2 {
			x := v[offset+k-1] + 1
			if k == -d || k != d && v[offset+k-1] < v[offset+k+1] {
				x = v[offset+k+1]
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			v[offset+k] = x
			if x >= len(a) && x-k >= len(b) {
				break search
			}
		}
	}
	var rev []diffOp
	x, y := len(a), len(b)
	for d := len(trace) - 1; d > 0; d-- {
		at := func(k int) int { // furthest x on diagonal k after d-1 edits
			if k < -d || k > d {
				return -1
			}
			return trace[d][k+d]
		}
		k := x - y
		prev := k - 1
		if k == -d || k != d && at(k-1) < at(k+1) {
			prev = k + 1
		}
		px := at(prev)
		py := px - prev
		for x > px && y > py {
			x, y = x-1, y-1
			rev = append(rev, diffOp{' ', a[x], x, y})
		}
		if x > px {
			x--
			rev = append(rev, diffOp{'-', a[x], x, y})
		} else {
			y--
			rev = append(rev, diffOp{'+', b[y], x, y})
		}
	}
	for x > 0 {
		x, y = x-1, y-1
		rev = append(rev, diffOp{' ', a[x], x, y})
	}
	out := make([]diffOp, 0, len(rev))
	for i := len(rev) - 1; i >= 0; i-- {
		out = append(out, rev[i])
	}
	return out
}
