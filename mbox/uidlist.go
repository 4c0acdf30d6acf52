package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// UIDList is a dovecot-uidlist as Dovecot reads it (maildir-uidlist.c): version 1, which Courier wrote too, or 3.
type UIDList struct {
	Version     int    // 1 or 3; 0 when the header cannot be read
	UIDValidity uint32 // 0 when the header cannot be read: Dovecot then begins anew
	NextUID     uint32 // what the next unlisted file gets; above all UIDs of the list, even if the header is stale
	GUID        string // of the mailbox; "" in version 1
	// Broken is the number of the line at which Dovecot stops reading and throws the file away, keeping the records
	// above it; 0 when all could be read. A last line without its end is no line: it is being written.
	Broken int

	Records []UIDRecord // in the order of their UIDs; of a name that is listed twice only the later one
}

// UIDRecord is a line of a dovecot-uidlist.
type UIDRecord struct {
	UID   uint32
	Name  string // of the file, flags after the ":" included, as it was when the line was written
	UIDL  string // POP3 UIDL saved for the message (P); "" when there is none
	Order string // POP3 order (O)
	GUID  string // G
	PSize string // physical size (S), decimal
	VSize string // virtual size, with CRLF line ends (W), decimal
}

// uidlistLine bounds a line. File names have at most 255 bytes.
const uidlistLine = 64 << 10

// ReadUIDList reads a dovecot-uidlist. What is wrong in the list is told by its fields; the error is only r's.
func ReadUIDList(r io.Reader) (*UIDList, error) {
	return readUIDList(r, nil)
}

// readUIDList keeps only the records whose base name is wanted.
func readUIDList(r io.Reader, wanted func(base string) bool) (*UIDList, error) {
	l := &UIDList{NextUID: 1}
	br := bufio.NewReaderSize(r, uidlistLine)
	seen := make(map[string]int) // base name -> index in Records
	prev := uint32(0)
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			l.Broken = n
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		text := cutLine(line)
		if n == 1 {
			if !l.header(text) {
				return &UIDList{NextUID: 1, Broken: 1}, nil
			}
			continue
		}
		rec, ok := l.record(text, prev)
		if rec.UID != 0 {
			prev = rec.UID
		}
		if !ok {
			l.Broken = n
			break
		}
		if base := baseName(rec.Name); wanted == nil || wanted(base) {
			if i, twice := seen[base]; twice {
				l.Records[i].UID = 0
			}
			seen[base] = len(l.Records)
			l.Records = append(l.Records, rec)
		}
	}
	if prev >= l.NextUID {
		l.NextUID = prev + 1
	}
	l.drop()
	return l, nil
}

// drop takes out the records that a later line replaced.
func (l *UIDList) drop() {
	kept := l.Records[:0]
	for _, r := range l.Records {
		if r.UID != 0 {
			kept = append(kept, r)
		}
	}
	l.Records = kept
}

// cutLine takes the line end off. Dovecot sees nothing behind a NUL.
func cutLine(line []byte) string {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if n := bytes.IndexByte(line, 0); n >= 0 {
		line = line[:n]
	}
	return string(line)
}

// header reads "1 uidvalidity nextuid" or "3 Vuidvalidity Nnextuid Gguid".
func (l *UIDList) header(text string) bool {
	version, rest, ok := strings.Cut(text, " ")
	if !ok {
		return false
	}
	var validity, next string
	switch version {
	case "1":
		f := strings.Fields(rest)
		if len(f) < 2 {
			return false
		}
		l.Version, validity, next = 1, f[0], f[1]
	case "3":
		l.Version = 3
		for key := range strings.SplitSeq(rest, " ") {
			if key == "" {
				continue
			}
			switch key[0] {
			case 'V':
				validity = key[1:]
			case 'N':
				next = key[1:]
			case 'G':
				l.GUID = key[1:]
			}
		}
	default:
		return false
	}
	v, err1 := strconv.ParseUint(validity, 10, 32)
	n, err2 := strconv.ParseUint(next, 10, 32)
	l.UIDValidity, l.NextUID = uint32(v), uint32(n)
	return err1 == nil && err2 == nil && v != 0 && n != 0
}

// record reads "uid name" or "uid [Kvalue ...] :name". prev is the UID of the line before. A record that is not ok bears
// its UID nevertheless when Dovecot counts it as used.
func (l *UIDList) record(text string, prev uint32) (UIDRecord, bool) {
	v, rest := decimal([]byte(text))
	uid := uint32(v)
	if uid == 0 || len(rest) == 0 || rest[0] != ' ' || uid <= prev || uid == 1<<32-1 {
		return UIDRecord{}, false
	}
	r := UIDRecord{UID: uid}
	if l.Version == 1 && uid >= l.NextUID {
		return r, false
	}
	text = strings.TrimLeft(string(rest), " ")
	if l.Version == 3 {
		if text = r.fields(text); text == "" {
			return r, false
		}
	}
	r.Name = text
	return r, !strings.Contains(text, "/")
}

// fields reads "Kvalue " up to the ":" before the name, and returns the name. Of a key given twice the first counts.
func (r *UIDRecord) fields(text string) string {
	guid, uidl := false, false
	for text != "" && text[0] != ':' {
		field, rest, _ := strings.Cut(text, " ")
		text = strings.TrimLeft(rest, " ")
		value := field[1:]
		switch field[0] {
		case 'P':
			if !uidl {
				r.UIDL, uidl = value, true
			}
		case 'G':
			if !guid {
				r.GUID, guid = value, true
			}
		case 'O':
			r.Order = first(r.Order, value)
		case 'S':
			r.PSize = first(r.PSize, value)
		case 'W':
			r.VSize = first(r.VSize, value)
		}
	}
	name := strings.TrimPrefix(text, ":")
	if uidl && r.UIDL == "" {
		// An empty P stands for the base name.
		r.UIDL = baseName(name)
	}
	return name
}

func first(old, value string) string {
	if old != "" {
		return old
	}
	return value
}

// baseName is a Maildir file name without its flags.
func baseName(name string) string {
	base, _, _ := strings.Cut(name, ":")
	return base
}
