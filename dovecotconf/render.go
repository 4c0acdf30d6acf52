package dovecotconf

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Message is what Dovecot knows a message by. The fields that a storage does not have are empty.
type Message struct {
	UID, UIDValidity uint32
	MD5              string // header MD5 of an mbox message, 32 lower hex digits
	Filename         string // Maildir file name; what follows a ':' does not count
	GUID             string // dovecot-uidlist G field, or the 128-bit GUID of dbox
	Saved            string // UIDL kept in dovecot-uidlist (P field) or dbox metadata, "" for none
	XUIDL            string // first X-UIDL header, leading blanks dropped, "" for none
}

// Render gives the UIDL that the format makes of m, without regard to saved UIDLs and X-UIDL (Choice does that). The
// error tells what the message lacks: %m without a header MD5 (not an mbox), %f without a file name (not a Maildir).
// Dovecot then disconnects the POP3 client.
func (f *Format) Render(m Message) (string, error) {
	var out strings.Builder
	for _, p := range f.parts {
		if p.name == "" {
			out.WriteString(p.lit)
			continue
		}
		v, err := m.value(p.name)
		if err != nil {
			return "", err
		}
		for _, o := range p.ops {
			if v, err = o.apply(v); err != nil {
				return "", fmt.Errorf("%s: %w", p.name, err)
			}
		}
		out.WriteString(v)
	}
	return out.String(), nil
}

func (m Message) base() string {
	base, _, _ := strings.Cut(m.Filename, ":")
	return base
}

func (m Message) value(name string) (string, error) {
	switch name {
	case "uid":
		return strconv.FormatUint(uint64(m.UID), 10), nil
	case "uidvalidity":
		return strconv.FormatUint(uint64(m.UIDValidity), 10), nil
	case "md5":
		if m.MD5 == "" {
			return "", fmt.Errorf("message %d: header MD5 not found (only mbox has it)", m.UID)
		}
		return m.MD5, nil
	case "filename":
		if m.base() == "" {
			return "", fmt.Errorf("message %d: file name not found (only Maildir has it)", m.UID)
		}
		return m.base(), nil
	}
	for _, guid := range []string{m.GUID, m.base(), m.MD5} { // Maildir without a G field: the name; mbox: the MD5
		if guid != "" {
			return guid, nil
		}
	}
	return "", fmt.Errorf("message %d: GUID not found", m.UID)
}

func (o op) apply(v string) (string, error) {
	switch o.kind {
	case opHex:
		return o.hex(v)
	case opLower:
		return asciiMap(v, 'A', 'Z', 'a'-'A'), nil
	case opUpper:
		return asciiMap(v, 'a', 'z', 'A'-'a'+256), nil
	case opMD5:
		sum := md5.Sum([]byte(v))
		return hex.EncodeToString(sum[:]), nil
	case opReverse:
		b := []byte(v)
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return string(b), nil
	case opTrim:
		return strings.TrimRight(v, " \t\n\r"), nil
	case opEscape:
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(v), nil
	case opHexBytes:
		return hex.EncodeToString([]byte(v)), nil
	case opPad:
		return strings.Repeat("0", max(0, o.n-len(v))) + v, nil
	case opPadRight:
		return v + strings.Repeat("0", max(0, o.n-len(v))), nil
	case opSkip:
		if o.n < 0 {
			return v[max(0, len(v)+o.n):], nil
		}
		return v[min(len(v), o.n):], nil
	case opFirst:
		if o.n > 0 {
			return v[:min(len(v), o.n)], nil
		}
		if len(v) < -o.n { // a negative rest keeps the whole (2.3.19)
			return v, nil
		}
		return v[:len(v)+o.n], nil
	}
	return "", fmt.Errorf("%s is not known here", o.arg)
}

func (o op) hex(v string) (string, error) {
	digits := strings.TrimLeft(v, "0123456789")
	n, err := strconv.ParseUint(v[:len(v)-len(digits)], 10, 64)
	if digits == "" && err == nil {
		return strconv.FormatUint(n, 16), nil
	}
	switch o.arg {
	case hexError:
		return "", fmt.Errorf("hex: Input is not a number")
	case hexPrefix:
		return strconv.FormatUint(n, 16), nil
	}
	return "0", nil
}

func asciiMap(s string, from, to byte, add int) string {
	b := []byte(s)
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = byte(int(c) + add)
		}
	}
	return string(b)
}
