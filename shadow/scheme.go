package shadow

import (
	"strconv"
	"strings"
)

const (
	schemeNone    = "none"
	schemeLocked  = "locked"
	schemeUnknown = "unknown"
)

// Libcrypt is the crypt(3) of a host.
type Libcrypt string

// The two that are found on hosts of today.
const (
	Libxcrypt Libcrypt = ""      // libxcrypt with all methods, as Debian 11 and later and Fedora 28 and later have it
	Glibc     Libcrypt = "glibc" // glibc's own, as RHEL 7, Debian 10 and older have it
)

// Supports tells whether a hash of that scheme can be checked there. Nothing needs checking for "none" and "locked".
func (c Libcrypt) Supports(scheme string) bool {
	switch scheme {
	case schemeNone, schemeLocked, "descrypt", "md5crypt", "sha256crypt", "sha512crypt":
		return true
	case "bigcrypt", "bsdicrypt", "bcrypt", "bcrypt_x", "nt", "scrypt", "yescrypt", "gost-yescrypt", "sha1crypt", "sunmd5":
		return c == Libxcrypt
	}
	return false
}

// hash is the anatomy of a password hash. complete: the text has the length, the characters and the parameters that
// crypt(3) of libxcrypt gives out, so that some password can match it.
type hash struct {
	scheme   string
	params   string // rounds, cost or the coded parameters, as written
	salt     string
	sum      string
	complete bool
}

// real tells whether the hash can be checked by some libcrypt and its owner's password thus exists.
func (h hash) real() bool {
	return h.complete && (Libxcrypt.Supports(h.scheme) || h.scheme == "apr1")
}

// salted tells whether equal texts can only come from one hashing of one password.
func (h hash) salted() bool { return h.salt != "" }

// parseHash recognises the methods of crypt(5). The lengths were checked against libxcrypt 4.4.33.
func parseHash(text string) hash {
	switch {
	case strings.HasPrefix(text, "$1$"):
		return saltAndSum("md5crypt", text[3:], 8, 22)
	case strings.HasPrefix(text, "$apr1$"):
		return saltAndSum("apr1", text[6:], 8, 22)
	case strings.HasPrefix(text, "$5$"):
		return shaCrypt("sha256crypt", text[3:], 43)
	case strings.HasPrefix(text, "$6$"):
		return shaCrypt("sha512crypt", text[3:], 86)
	case len(text) > 3 && text[:2] == "$2" && text[3] == '$' && strings.IndexByte("abxy", text[2]) >= 0:
		return bcryptHash(text)
	case strings.HasPrefix(text, "$y$"):
		return yescryptHash("yescrypt", text[3:])
	case strings.HasPrefix(text, "$gy$"):
		return yescryptHash("gost-yescrypt", text[4:])
	case strings.HasPrefix(text, "$7$"):
		return scryptHash(text[3:])
	case strings.HasPrefix(text, "$3$"):
		return hash{scheme: "nt", sum: text[3:], complete: len(text) == 36 && text[3] == '$' && only(text[4:], lowerHex)}
	case strings.HasPrefix(text, "$sha1$"):
		return sha1Hash(text[6:])
	case strings.HasPrefix(text, "$md5$"), strings.HasPrefix(text, "$md5,"):
		return sunMD5Hash(text)
	case strings.HasPrefix(text, "$argon2"):
		return hash{scheme: "argon2"}
	}
	return desHash(text)
}

const (
	lowerHex = "0123456789abcdef"
	itoa64   = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func only(s, set string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

// goodSalt is what crypt(3) of libxcrypt takes in a setting: printable ASCII but for the characters of other formats.
func goodSalt(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`!*:;\$`, s[i]) >= 0 {
			return false
		}
	}
	return true
}

func goodSum(s string, n int) bool { return len(s) == n && only(s, itoa64) }

// saltAndSum reads "salt$sum".
func saltAndSum(scheme, rest string, saltMax, sumLen int) hash {
	salt, sum, _ := strings.Cut(rest, "$")
	return hash{scheme: scheme, salt: salt, sum: sum, complete: len(salt) <= saltMax && goodSalt(salt) && goodSum(sum, sumLen)}
}

// shaCrypt reads "[rounds=N$]salt$sum". libxcrypt refuses a number with a leading zero or outside of 1000..999999999.
func shaCrypt(scheme, rest string, sumLen int) hash {
	params := ""
	if after, ok := strings.CutPrefix(rest, "rounds="); ok {
		params, rest, _ = strings.Cut(after, "$")
		if n, ok := decimal(params); !ok || n < 1000 || n > 999999999 {
			return hash{scheme: scheme, params: params}
		}
	}
	h := saltAndSum(scheme, rest, 16, sumLen)
	h.params = params
	return h
}

// decimal reads digits without a leading zero.
func decimal(s string) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' || !only(s, "0123456789") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return int(n), err == nil && n < 1<<31
}

// bcryptHash reads "$2b$05$" + 22 characters of salt + 31 of sum. 16 bytes leave four bits of the last salt character
// unused, which crypt(3) writes as zeros: any other text is never equal to its output.
func bcryptHash(text string) hash {
	h := hash{scheme: "bcrypt"}
	if text[2] == 'x' {
		h.scheme = "bcrypt_x"
	}
	if len(text) != 60 || text[6] != '$' {
		return h
	}
	h.params, h.salt, h.sum = text[4:6], text[7:29], text[29:]
	cost, err := strconv.ParseUint(h.params, 10, 8)
	h.complete = err == nil && cost >= 4 && cost <= 31 && only(h.salt, itoa64) && strings.IndexByte(".Oeu", h.salt[21]) >= 0 && only(h.sum, itoa64)
	return h
}

// yescryptHash reads "params$salt$sum".
func yescryptHash(scheme, rest string) hash {
	h := hash{scheme: scheme}
	var sum string
	h.params, rest, _ = strings.Cut(rest, "$")
	h.salt, sum, _ = strings.Cut(rest, "$")
	h.sum = sum
	h.complete = h.params != "" && only(h.params, itoa64) && len(h.salt) <= 86 && only(h.salt, itoa64) && wholeBytes(h.salt) &&
		goodSum(sum, 43) && wholeBytes(sum)
	return h
}

// wholeBytes tells whether s codes whole bytes, four characters for three, the bits left over being zero.
func wholeBytes(s string) bool {
	left := len(s) % 4
	if left == 0 {
		return true
	}
	if left == 1 {
		return false
	}
	last := strings.IndexByte(itoa64, s[len(s)-1])
	return last>>(6-2*(4-left)) == 0
}

// scryptHash reads one character of N, five of r, five of p, then "salt$sum".
func scryptHash(rest string) hash {
	if len(rest) < 11 {
		return hash{scheme: "scrypt"}
	}
	h := saltAndSum("scrypt", rest[11:], 384, 43)
	h.params = rest[:11]
	h.complete = h.complete && only(h.params, itoa64)
	return h
}

// sha1Hash reads "rounds$salt$sum".
func sha1Hash(rest string) hash {
	params, rest, _ := strings.Cut(rest, "$")
	h := saltAndSum("sha1crypt", rest, 64, 28)
	h.params = params
	_, ok := decimal(params)
	h.complete = h.complete && ok
	return h
}

// sunMD5Hash reads "$md5[,rounds=N]$salt$[$]sum".
func sunMD5Hash(text string) hash {
	h := hash{scheme: "sunmd5"}
	i := strings.LastIndexByte(text, '$')
	h.sum = text[i+1:]
	setting := strings.TrimSuffix(text[4:i], "$")
	h.params, h.salt, _ = strings.Cut(setting, "$")
	h.complete = goodSalt(h.salt) && h.salt != "" && goodSum(h.sum, 22)
	return h
}

// desHash reads what has no prefix. HP-UX put its ageing after a comma, which pam_unix strips.
func desHash(text string) hash {
	bare := text
	if i := strings.IndexByte(text, ','); i == 13 {
		bare = text[:i]
	}
	switch n := len(bare); {
	case n == 0 || !only(bare[1:], itoa64):
	case bare[0] == '_':
		if n == 20 {
			return hash{scheme: "bsdicrypt", params: bare[1:5], salt: bare[5:9], sum: bare[9:], complete: true}
		}
	case !only(bare[:1], itoa64):
	case n == 13:
		return hash{scheme: "descrypt", salt: bare[:2], sum: bare[2:], complete: true}
	case n > 13 && n <= 2+16*11 && (n-2)%11 == 0:
		return hash{scheme: "bigcrypt", salt: bare[:2], sum: bare[2:], complete: true}
	}
	return hash{scheme: schemeUnknown}
}

// unbang takes the locks off a password field.
func unbang(text string) string { return strings.TrimLeft(text, "!") }
