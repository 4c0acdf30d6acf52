package tree

import (
	"fmt"
	"math/rand/v2"
)

// fewBytes bounds a short list. Beside the long ones each would cost a page of its own.
const fewBytes = 4 << 10

// list has f look at the encoded names of one segment of a directory, if any are known.
func (s *state) list(k dirKey, segment int, f func(b []byte) error) (err error) {
	look := func(b []byte) { err = f(b) }
	if !s.show(bucketFew, k.segment(segment), look) {
		s.show(bucketNames, k.segment(segment), look)
	}
	return err
}

// putList keeps the encoded names of one segment as put does.
func (s *state) putList(k dirKey, segment int, v []byte, soft bool) {
	in, not := bucketNames, bucketFew
	if len(v) <= fewBytes {
		in, not = not, in
	}
	s.put(in, k.segment(segment), v, soft)
	s.put(not, k.segment(segment), nil, soft)
}

// names adds to m what is known of the names in one segment of a directory, what a dead pass was about to put there
// included.
func (s *state) names(k dirKey, segment, segments int, m map[string]*entry) error {
	if err := s.list(k, segment, func(b []byte) error { return decodeNames(b, m) }); err != nil {
		return fmt.Errorf("state file %s: %w", s.path, errDamaged)
	}
	if s.broken != nil {
		return s.broken
	}
	for _, n := range s.journal.children(k) {
		if m[n] == nil && segmentOf(n, segments) == segment {
			m[n] = &entry{name: n}
		}
	}
	return nil
}

// sample gives some of the names that are known in one segment of a directory, each with the same chance, in no order.
func (s *state) sample(k dirKey, segment, most int) (es []entry) {
	met := 0
	err := s.list(k, segment, func(b []byte) error {
		return eachEntry(b, func(at, end int, e *entry) {
			i := len(es)
			if met++; i < most {
				es = append(es, *e)
			} else if i = rand.IntN(met); i < most {
				es[i] = *e
			} else {
				return
			}
			es[i].name = string(b[at:end])
		})
	})
	if err != nil {
		s.broken = fmt.Errorf("state file %s: %w", s.path, errDamaged)
	}
	rand.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
	return es
}
