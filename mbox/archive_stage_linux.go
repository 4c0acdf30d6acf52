package mbox

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// sector is the unit in which the old bytes of a mailbox are known again: whatever was cut short, the kernel or a disk has
// written each of them wholly or not at all.
const sector = 512

// chunk is how much is copied at a time.
// Tests make it smaller; it is a multiple of sector.
var chunk = int64(1 << 20)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// copyRange copies n bytes of r from off to w. alive is called once a chunk.
func copyRange(w io.Writer, r io.ReaderAt, off, n int64, alive func() error) error {
	buf := make([]byte, min(chunk, n))
	for n > 0 {
		if err := alive(); err != nil {
			return err
		}
		k, err := readAt(r, buf[:min(int64(len(buf)), n)], off)
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:k]); err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}

// put writes a file of the job and returns its size and checksum. It is on stable storage then.
func (j *job) put(name string, write func(w io.Writer) error) (size int64, sum string, err error) {
	f, err := j.create(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	sha := sha256.New()
	if err := write(io.MultiWriter(f, sha)); err != nil {
		return 0, "", err
	}
	if err := flush(f); err != nil {
		return 0, "", err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	return info.Size(), hex.EncodeToString(sha.Sum(nil)), nil
}

// stageTail writes the new content from e.from on.
func (j *job) stageTail(w *journal, box io.ReaderAt, e *edit, alive func() error) error {
	size, sum, err := j.put(w.Tail, func(out io.Writer) error {
		skip := e.from
		for _, p := range e.pieces {
			if p.length() <= skip {
				skip -= p.length()
				continue
			}
			if p.text != nil {
				if _, err := out.Write(p.text[skip:]); err != nil {
					return err
				}
			} else if err := copyRange(out, box, p.off+skip, p.n-skip, alive); err != nil {
				return err
			}
			skip = 0
		}
		return nil
	})
	if err == nil && e.from+size != e.size {
		err = fmt.Errorf("%s: %d bytes staged, want %d", w.Mailbox, e.from+size, e.size)
	}
	w.SHA256 = sum
	return err
}

// stageSums writes the checksums of the old bytes: of those before from one for all, then one for each sector.
func (j *job) stageSums(w *journal, box io.ReaderAt, alive func() error) error {
	head := crc32.New(castagnoli)
	if err := copyRange(head, box, 0, w.From, alive); err != nil {
		return err
	}
	w.Head = head.Sum32()
	_, _, err := j.put(w.Sums, func(out io.Writer) error {
		s := &sectorSums{out: out, w: w, off: w.From}
		if err := copyRange(s, box, w.From, w.Size-w.From, alive); err != nil {
			return err
		}
		return s.flush()
	})
	return err
}

// sectorSums turns the bytes of a mailbox from off on into a checksum for each sector. The one in which the new content
// will end counts as two.
type sectorSums struct {
	out  io.Writer
	w    *journal
	off  int64
	part []byte // of a sector
	sums []byte
}

func (s *sectorSums) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		room := int(s.w.sectorEnd(s.off) - s.off)
		n := min(room, len(b))
		s.off += int64(n)
		switch {
		case n == room && len(s.part) == 0:
			s.sum(b[:n])
		default:
			s.part = append(s.part, b[:n]...)
			if n == room {
				s.sum(s.part)
				s.part = s.part[:0]
			}
		}
		b = b[n:]
	}
	if len(s.sums) < 64<<10 {
		return total, nil
	}
	_, err := s.out.Write(s.sums)
	s.sums = s.sums[:0]
	return total, err
}

// sectorEnd is where the sector at off ends.
func (w *journal) sectorEnd(off int64) int64 {
	end := off - off%sector + sector
	if off < w.NewSize {
		end = min(end, w.NewSize)
	}
	return end
}

func (s *sectorSums) sum(b []byte) {
	s.sums = binary.LittleEndian.AppendUint32(s.sums, crc32.Checksum(b, castagnoli))
}

func (s *sectorSums) flush() error {
	if len(s.part) > 0 {
		s.sum(s.part)
	}
	_, err := s.out.Write(s.sums)
	return err
}

// stageArchive writes what is appended to an archive that holds what f holds.
func (j *job) stageArchive(a *journalArchive, f *os.File, box io.ReaderAt, runs []leaving, target int, alive func() error) error {
	lead, err := archiveLead(a.Path, f, a.Size)
	if err != nil {
		return err
	}
	a.Bytes, a.SHA256, err = j.put(a.Added, func(out io.Writer) error {
		z, err := compressor(a.Path, out)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(z, lead); err != nil {
			return err
		}
		last := int64(-1)
		for _, r := range runs {
			if r.target != target {
				continue
			}
			if err := copyRange(z, box, r.off, r.end-r.off, alive); err != nil {
				return err
			}
			last = r.end
		}
		if err := endLine(z, box, last); err != nil {
			return err
		}
		return z.Close()
	})
	return err
}

// endLine ends the last line where it has no end, as the last of a mailbox may: another message will follow it.
func endLine(w io.Writer, box io.ReaderAt, end int64) error {
	var b [1]byte
	if _, err := readAt(box, b[:], end-1); err != nil || b[0] == '\n' {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

var magics = map[string]string{".gz": "\x1f\x8b", ".zst": "\x28\xb5\x2f\xfd", "": "From "}

func suffix(path string) string {
	for _, s := range []string{".gz", ".zst"} {
		if strings.HasSuffix(path, s) {
			return s
		}
	}
	return ""
}

// archiveLead looks at the archive as it is. The result is what has to stand before the first message.
func archiveLead(path string, f *os.File, size int64) (string, error) {
	if size == 0 {
		return "", nil
	}
	kind := suffix(path)
	head := make([]byte, len(magics[kind]))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return "", err
	}
	if string(head) != magics[kind] {
		return "", fmt.Errorf("%s: holds something else than archived mail", path)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], size-1); err != nil {
		return "", err
	}
	if kind == "" && b[0] != '\n' {
		return "\n", nil
	}
	return "", nil
}

type plainCloser struct{ io.Writer }

func (plainCloser) Close() error { return nil }

// compressor writes one member or frame, by the suffix of the archive.
func compressor(path string, w io.Writer) (io.WriteCloser, error) {
	switch suffix(path) {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return plainCloser{w}, nil
}
