package shadow

import (
	"errors"
	"fmt"
	"io"
	"unique"
)

// Secret is the text of a password field. It prints, formats and marshals as its scheme, such as "(sha512crypt)" or
// "(locked sha512crypt)"; [Secret.Reveal] gives the text. Two Secrets are == when their texts are. The zero Secret is
// the empty field. A struct that keeps a Secret in an unexported field stays safe to print; a debugger or a deep dumper
// that follows pointers sees through it.
type Secret struct{ text unique.Handle[string] } // a pointer, which fmt does not follow, and still comparable

// NewSecret wraps the text of a password field.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal gives the text as it stands in the file.
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.text.Value()
}

// Scheme names the method of the hash as crypt(5) of libxcrypt does: descrypt, bigcrypt, bsdicrypt, md5crypt, bcrypt,
// bcrypt_x, nt, sha256crypt, sha512crypt, scrypt, yescrypt, gost-yescrypt, sha1crypt, sunmd5; apr1 and argon2, which
// no libcrypt checks; "none" for an empty field, "locked" for one that no password matches and that hides no hash, and
// "unknown". The hash behind a lock counts.
func (s Secret) Scheme() string { return schemeOf(s.Reveal()) }

func schemeOf(text string) string {
	if text == "" {
		return schemeNone
	}
	bare := unbang(text)
	if bare == "" || bare[0] == '*' || bare == "NP" {
		return schemeLocked
	}
	return parseHash(bare).scheme
}

// Locked tells whether no password can match: the field begins with ! or *, as pam_unix has it, or is the "NP" of
// System V.
func (s Secret) Locked() bool { return locked(s.Reveal()) }

func locked(text string) bool {
	return text != "" && (text[0] == '!' || text[0] == '*') || text == "NP"
}

// Lock puts a ! before the hash. A locked field stays as it is.
func (s Secret) Lock() Secret { return NewSecret(lock(s.Reveal())) }

func lock(text string) string {
	if locked(text) {
		return text
	}
	return "!" + text
}

// ErrNoHash is the error of Unlock when behind the lock there is no hash: the account would be open to all.
var ErrNoHash = errors.New("no password hash behind the lock")

// Unlock takes off every leading !, usermod -L writing one and passwd -l of Red Hat two. A field that is not locked
// stays as it is. Error: ErrNoHash.
func (s Secret) Unlock() (Secret, error) {
	if !s.Locked() {
		return s, nil
	}
	bare := NewSecret(unbang(s.Reveal()))
	if bare == (Secret{}) || bare.Locked() {
		return s, ErrNoHash
	}
	return bare, nil
}

// String names the scheme and never shows the text.
func (s Secret) String() string {
	scheme := s.Scheme()
	if s.Locked() && scheme != schemeLocked {
		scheme = "locked " + scheme
	}
	return "(" + scheme + ")"
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON gives String in quotes.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
