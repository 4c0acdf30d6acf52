package shadow

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/GehirnInc/crypt"
	_ "github.com/GehirnInc/crypt/apr1_crypt" // registers $apr1$
	_ "github.com/GehirnInc/crypt/md5_crypt"  // registers $1$
	_ "github.com/GehirnInc/crypt/sha256_crypt"
	_ "github.com/GehirnInc/crypt/sha512_crypt"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/scrypt"
)

// Errors of Verify. None quotes the hash or the password.
var (
	ErrLocked   = errors.New("password is locked")             // begins with ! or *: no password matches
	ErrEmpty    = errors.New("password field is empty")        // any password, or none, is let in where PAM has nullok
	ErrScheme   = errors.New("hash scheme not supported")      // unknown, or one that this package does not compute
	ErrCost     = errors.New("hash is too costly")             // a legal hash that would take many seconds or much memory
	ErrPassword = errors.New("not a possible password")        // too long for crypt(3), or with a NUL byte
	errTail     = fmt.Errorf("%w password hash", ErrMalformed) // cut off or damaged: no password matches
)

// Limits of Verify. What lies beyond takes longer than a login may: some two seconds on a slow core.
const (
	maxPassword   = 511       // bytes; CRYPT_MAX_PASSPHRASE_SIZE of libxcrypt is 512 with its NUL
	maxRounds     = 5_000_000 // of $5$ and $6$; crypt(5) allows 999999999
	maxBcryptCost = 15        // of 31
	maxYescrypt   = 256 << 20 // bytes of memory, 128*N*r
)

// Verify tells whether password is the one of hash, the text of a password field as [Secret.Reveal] gives it. It
// computes md5crypt, apr1, sha256crypt, sha512crypt, bcrypt ($2a$, $2b$, $2y$) and yescrypt and agrees with crypt(3) of
// libxcrypt on them, but for $2a$ with bytes 0xff in the password, where libxcrypt adds a safety measure. A false
// without an error is a wrong password; every other obstacle is an error: ErrLocked, ErrEmpty, ErrScheme,
// ErrMalformed, ErrCost (more than 5,000,000 rounds, bcrypt cost above 15, yescrypt above 256 MiB) and ErrPassword
// (more than 511 bytes, or a NUL). The comparison takes constant time.
func Verify(hash, password string) (bool, error) {
	field := NewSecret(hash)
	switch {
	case hash == "":
		return false, ErrEmpty
	case field.Locked():
		return false, ErrLocked
	case len(password) > maxPassword:
		return false, fmt.Errorf("%w: %d bytes, crypt(3) takes at most %d", ErrPassword, len(password), maxPassword)
	case strings.IndexByte(password, 0) >= 0:
		return false, fmt.Errorf("%w: it has a NUL byte", ErrPassword)
	}
	h := parseHash(hash)
	switch h.scheme {
	case "md5crypt", "apr1", "sha256crypt", "sha512crypt":
		return verifySalted(h, hash, password)
	case "bcrypt":
		return verifyBcrypt(h, hash, password)
	case "yescrypt":
		return verifyYescrypt(h, hash, password)
	}
	return false, fmt.Errorf("%w: %s", ErrScheme, h.scheme)
}

// verifySalted generates anew from the setting alone. The library's own Verify takes "salt$sum" for the salt when
// rounds= stands before a salt of fewer than 16 characters, and so refuses right passwords.
func verifySalted(h hash, text, password string) (bool, error) {
	if !h.complete || !crypt.IsHashSupported(text) {
		return false, fmt.Errorf("%s: %w", h.scheme, errTail)
	}
	if rounds, ok := decimal(h.params); ok && rounds > maxRounds {
		return false, fmt.Errorf("%w: %s with %d rounds, the limit is %d", ErrCost, h.scheme, rounds, maxRounds)
	}
	setting := text[:strings.LastIndexByte(text, '$')]
	got, err := crypt.NewFromHash(text).Generate([]byte(password), []byte(setting))
	if err != nil {
		return false, fmt.Errorf("%s: %w", h.scheme, errTail)
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(text)) == 1, nil
}

func verifyBcrypt(h hash, text, password string) (bool, error) {
	if !h.complete {
		return false, fmt.Errorf("bcrypt: %w", errTail)
	}
	if cost, err := strconv.Atoi(h.params); err != nil || cost > maxBcryptCost {
		return false, fmt.Errorf("%w: bcrypt with cost %s, the limit is %d", ErrCost, h.params, maxBcryptCost)
	}
	digest, err := bcrypt.DecodeVariant(bcrypt.VariantStandard)(text)
	if err != nil {
		return false, fmt.Errorf("bcrypt: %w", errTail) // not err, which may quote the hash
	}
	return digest.MatchBytes([]byte(password)), nil
}

// verifyYescrypt computes what libxcrypt writes: flags "j" (read-write, the default), one character each for N and r.
func verifyYescrypt(h hash, text, password string) (bool, error) {
	if !h.complete {
		return false, fmt.Errorf("yescrypt: %w", errTail)
	}
	if len(h.params) != 3 || h.params[0] != 'j' {
		return false, fmt.Errorf("%w: yescrypt with uncommon parameters", ErrScheme)
	}
	logN := strings.IndexByte(itoa64, h.params[1]) + 1
	r := strings.IndexByte(itoa64, h.params[2]) + 1
	if logN > 40 || int64(r)<<(logN+7) > maxYescrypt {
		return false, fmt.Errorf("%w: yescrypt with N=2^%d and r=%d, the limit is %d MiB", ErrCost, logN, r, maxYescrypt>>20)
	}
	digest, err := scrypt.DecodeVariant(scrypt.VariantYescrypt)(text)
	if err != nil {
		return false, fmt.Errorf("yescrypt: %w", errTail)
	}
	return digest.MatchBytes([]byte(password)), nil
}
