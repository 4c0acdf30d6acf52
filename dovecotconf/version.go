package dovecotconf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// release is a Dovecot version as numbers; parts that are not given are 0. A pre-release counts as its release.
type release [4]int

var (
	v11     = release{1, 1}
	v12     = release{1, 2}
	v20     = release{2, 0}
	v21     = release{2, 1}
	v2013   = release{2, 0, 13}
	v2213   = release{2, 2, 13}
	v2222   = release{2, 2, 22}
	v2224   = release{2, 2, 24}
	v23     = release{2, 3}
	v2314   = release{2, 3, 14}
	v24     = release{2, 4}
	v242    = release{2, 4, 2}
	v245    = release{2, 4, 5}
	v100    = release{1, 0}
	v217    = release{2, 1, 7}
	v2315   = release{2, 3, 15}
	unknown release
)

// parseRelease reads "2.3.19.1 (9b53102964)", "1.1.rc8", "2.4.1-4" or "2.0".
func parseRelease(s string) (release, error) {
	var r release
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if i == len(r) {
			break
		}
		end := 0
		for end < len(p) && p[end] >= '0' && p[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(p[:end])
		if err != nil {
			if i >= 2 {
				break // 1.1.rc8
			}
			return r, fmt.Errorf("dovecot version %q: want a number such as 2.3.19", s)
		}
		r[i] = n
		if end < len(p) {
			break // 2.4.1-4
		}
	}
	if r[0] > 9 || r[0] == 0 && r[1] != 99 {
		return unknown, fmt.Errorf("dovecot version %q: want a number such as 2.3.19", s)
	}
	return r, nil
}

func (r release) before(o release) bool { return slices.CompareFunc(r[:], o[:], cmp.Compare[int]) < 0 }

// between tells a <= r < b.
func (r release) between(a, b release) bool { return !r.before(a) && r.before(b) }

func (r release) old() bool { return r.before(v24) }

func (r release) String() string {
	n := 4
	for n > 2 && r[n-1] == 0 {
		n--
	}
	out := strconv.Itoa(r[0])
	for _, p := range r[1:n] {
		out += "." + strconv.Itoa(p)
	}
	return out
}
