package tree

import (
	"bytes"
	"context"

	"github.com/mailmove/mailmove/mbox"
)

// What a mail program does to an mbox leaves most of it as it was, though not in its place: a flag changes some bytes, an
// expunged message moves all behind it up, a delivery comes at the end. Two copies of one host are compared byte by byte, which
// is cheaper than cutting and summing both; where they part, the old one is searched for what comes next in the new one.
const (
	weaveBlock  = 256 << 10 // is compared at once
	weaveSame   = 64        // so many equal bytes are where both go on together,
	weaveAnchor = 256       // and so many where that is somewhere else: headers have much in common
	weaveProbe  = 48        // of them are searched, for bytes.Index is far slower from 64 on
	weaveEdge   = 4 << 10   // so few bytes say little
	weaveNear   = 16 << 10  // so far ahead the old copy is searched at first,
	weaveReach  = 16 << 20  // and at most, about as long as a message may be;
	weaveBack   = 2 << 20   // so far back, for what was moved to the end
	weaveEffort = 32        // so many times the size of both is searched; what comes then is new
)

// weave writes the new content from what the old copy has and what only the source has.
type weave struct {
	ctx           context.Context
	size, oldSize int64
	w             *patch
	is, was, far  []byte
	at, from      int64 // in the new file and in the old one
	effort        int64 // left for searching
	key           *key
}

func (v *weave) run() error {
	v.effort = weaveEffort * (v.size + v.oldSize)
	v.is, v.was = make([]byte, weaveBlock), make([]byte, weaveBlock)
	for v.at < v.size {
		is := v.is[:min(weaveBlock, v.size-v.at)]
		if err := readFull(v.w.in, is, v.at); err != nil {
			return err
		}
		was := v.was[:min(int64(len(is)), v.oldSize-v.from)]
		if err := readFull(v.w.old, was, v.from); err != nil {
			return err
		}
		if err := v.block(is, was); err != nil {
			return err
		}
	}
	return nil
}

// block deals with some of the new bytes that come next; was are those that come next in the old copy.
func (v *weave) block(is, was []byte) error {
	n := commonPrefix(is, was)
	if n < len(is) && n < len(was) || n == 0 {
		return v.part(is, was, n)
	}
	return v.take(is[:n], true)
}

// part is called where the two differ after n bytes.
func (v *weave) part(is, was []byte, n int) error {
	if err := v.take(is[:n], true); err != nil {
		return err
	}
	if is, was = is[n:], was[n:]; n > 0 && len(is) < weaveEdge && v.at+int64(len(is)) < v.size {
		return nil // more of it is to be seen first
	}
	if k := edited(is, was); k > 0 { // some bytes in place
		v.from += int64(k)
		return v.take(is[:k], false)
	}
	fresh, gone, err := v.search(is)
	if err != nil {
		return err
	}
	v.from += gone
	return v.take(is[:fresh], false)
}

// take appends the next bytes of the new file, which the old copy has, too, or not.
func (v *weave) take(b []byte, fromOld bool) error {
	if len(b) == 0 {
		return nil
	}
	n, from := int64(len(b)), v.at
	if fromOld {
		from = v.from
		v.from += n
	}
	v.w.add(mbox.Chunk{Off: v.at, Len: n, Sum: v.key.sum(b)}, from, fromOld)
	v.at += n
	return v.ctx.Err()
}

// edited gives how many bytes differ before both go on as one; 0: they do not.
func edited(is, was []byte) int {
	for k := 1; k+weaveSame <= min(len(is), len(was)); k++ {
		if is[k+weaveSame-1] != was[k+weaveSame-1] {
			k += weaveSame - 1
			continue
		}
		if bytes.Equal(is[k:k+weaveSame], was[k:k+weaveSame]) {
			return k
		}
	}
	return 0
}

// search finds what comes next of the new file in the old one: after fresh bytes, and gone bytes further; before the place at
// hand when that is below zero. What is near is found first.
func (v *weave) search(is []byte) (fresh int, gone int64, err error) {
	ahead := min(weaveReach, v.oldSize-v.from)
	for read, want := int64(0), int64(weaveNear); read < ahead; want *= 4 {
		want = min(want, ahead)
		start := max(0, read-weaveAnchor+1)
		if fresh, gone, err = v.searchIn(is, v.from+start, want-start); fresh < len(is) || err != nil {
			return fresh, gone, err
		}
		read = want
	}
	behind := max(0, v.from-weaveBack)
	return v.searchIn(is, behind, v.from-behind)
}

// searchIn searches size bytes of the old file; it found nothing when all is fresh.
func (v *weave) searchIn(is []byte, at, size int64) (fresh int, gone int64, err error) {
	if size < weaveAnchor || v.effort <= 0 {
		return len(is), 0, nil
	}
	if int64(len(v.far)) < size {
		v.far = make([]byte, size)
	}
	far := v.far[:size]
	if err := readFull(v.w.old, far, at); err != nil {
		return 0, 0, err
	}
	for k := 0; k+weaveAnchor <= len(is); k = 4*k + weaveAnchor {
		i := index(far, is[k:k+weaveAnchor])
		if v.effort -= size; i < 0 {
			continue
		}
		for k > 0 && i > 0 && is[k-1] == far[i-1] {
			k, i = k-1, i-1
		}
		return k, at + int64(i) - v.from, nil
	}
	return len(is), 0, nil
}

// index finds an anchor.
func index(far, anchor []byte) int {
	const in = (weaveAnchor - weaveProbe) / 2
	probe := anchor[in : in+weaveProbe]
	for at := in; at < len(far); {
		i := bytes.Index(far[at:], probe)
		if i < 0 {
			return -1
		}
		if i += at - in; bytes.HasPrefix(far[i:], anchor) {
			return i
		}
		at = i + in + 1
	}
	return -1
}

// commonPrefix counts the bytes that both begin with.
func commonPrefix(a, b []byte) int {
	most := min(len(a), len(b))
	n := 0
	for step := most; step > 0; {
		if step = min(step, most-n); bytes.Equal(a[n:n+step], b[n:n+step]) {
			if n += step; n == most {
				break
			}
			continue
		}
		step /= 2
	}
	return n
}
