package mbox

import "bytes"

const (
	// rareBlank is how far apart blanks are where it pays to search for them instead of line ends.
	rareBlank = 256
	// textStride is searched by line ends where blanks are not rare.
	textStride = 2 << 10
)

// indexSeparator is bytes.Index(b, separator). That one stops at each line end; most of a mailbox is base64, which has
// a line end every 77 bytes but no blank, so the blank of the separator is looked for first.
func indexSeparator(b []byte) int {
	last := len(separator) - 1
	for i := 0; i+last < len(b); {
		n := bytes.IndexByte(b[i+last:], ' ')
		switch {
		case n < 0:
			return -1
		case n < rareBlank:
			text := b[i:min(i+textStride+last, len(b))]
			if n = bytes.Index(text, separator); n >= 0 {
				return i + n
			}
			i += textStride
		case bytes.HasPrefix(b[i+n:], separator):
			return i + n
		default:
			i += n + 1
		}
	}
	return -1
}
