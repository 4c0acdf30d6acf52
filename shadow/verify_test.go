package shadow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

// vectors come from crypt(3) of libxcrypt 4.4.33.
var vectors = []struct{ hash, password string }{
	{md5Hash, ""},
	{"$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "secret"},
	{"$1$$ysVNzQc4CTMkp5daOdZ.3/", "secret"},
	{sha512Hash, ""},
	{"$6$rounds=5000$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.", "secret"},
	{"$6$rounds=1000$ab$3tLFZOSDxcyiDWcYSrieU1uloXMcbPJQRTcotZNqEJiB1iizwjzbn2jECOCvw6wslPpiTPzli2jppqTUXUq9N0", "secret"},
	{"$6$rounds=1000$$ItXvd09GbF48UthMn1jgF27i.UiFK6lQrMQFgQ..At.nPPv1mKG8frk6rDmddXVUHVAV.2.X7lBqxtKoTwrXx0", "secret"},
	{"$6$$2M9DchxW4txWyTYoZrH9D3VvAAQxBpEezYsLY6Cao.jwzEXpyL9xwip9hiUZX7GqTqe/E/z6iKvZqXUuqniQH.", "secret"},
	{"$6$ab$ndS3hufowWO1IIU/Wj1P9Q2zMU.q1YXgR3NWVJJ2yayJLYFUb0jkvDkSYtiHaiBEJi3LlyCEgCyPvF4SiUVH9.", strings.Repeat("x", 511)},
	{"$5$abcdefghijklmnop$i7zHaTeYqXlesRXJ8dXj6o.MEFQdzfIJpJpcWAtszs6", "secret"},
	{"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"},
	{"$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"},
	{"$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"},
	{"$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", strings.Repeat("x", 73)},
	{"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0", "secret"},
	{"$y$j7T$abcdefgh$lRA/xbUMMpRLRU0sP4I6FGI8khrWhVmqhwPmMpvSooD", "secret"},
	{"$y$j75$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.", "secret"},
	{"$y$j/T$/.$E36Vej9QaiYpbDC2FAC1CxDtnkDehc6dnXybXQpY6l5", "secret"},
	{"$y$j85$$oLtUgNMZ.tnaZlkpnv4xK5W/2yF4zfkaghxwHy4RbL2", "secret"},
}

func TestVerify(t *testing.T) {
	for i, v := range vectors {
		ok, err := shadow.Verify(v.hash, v.password)
		require.NoError(t, err, "vector %d", i)
		require.True(t, ok, "vector %d", i)
		wrong := "y" + v.password
		if len(wrong) > 511 {
			wrong = "y"
		}
		ok, err = shadow.Verify(v.hash, wrong)
		require.NoError(t, err, "vector %d", i)
		require.False(t, ok, "vector %d with a wrong password", i)
		ok, err = shadow.Verify("!"+v.hash, v.password)
		require.ErrorIs(t, err, shadow.ErrLocked)
		require.False(t, ok)
	}
}

func TestVerifyRefuses(t *testing.T) {
	sum86, sum43 := strings.Repeat("a", 86), strings.Repeat("a", 42)+"."
	for _, c := range []struct {
		name, hash, password string
		want                 error
	}{
		{"empty", "", "", shadow.ErrEmpty},
		{"star", "*", "x", shadow.ErrLocked},
		{"bang", "!", "x", shadow.ErrLocked},
		{"red hat", "!!", "x", shadow.ErrLocked},
		{"sysusers", "!*", "x", shadow.ErrLocked},
		{"solaris", "*LK*", "x", shadow.ErrLocked},
		{"system v", "NP", "x", shadow.ErrLocked},
		{"x", "x", "x", shadow.ErrScheme},
		{"des", "ab9Flz6dLJe7U", "s", shadow.ErrScheme},
		{"bigcrypt", "abIwpV1opXTEoa7pJLPNrr8ENm/sx10lqWYabcde", "s", shadow.ErrScheme},
		{"bsdi", "_J9..abcdEdWXWSJ8j.A", "s", shadow.ErrScheme},
		{"nt", "$3$$c3f541baf5c46e5169e95691975d12bc", "s", shadow.ErrScheme},
		{"sha1", "$sha1$40000$abcdefgh$Sc.fNJD3jfxtN2z.2U/wV3cMgWuD", "s", shadow.ErrScheme},
		{"sun", "$md5,rounds=1000$abcdefgh$bIjqVCJlYHOxfaSVFc2ol/", "s", shadow.ErrScheme},
		{"scrypt", "$7$CU..../....abcdefgh$I7pwLS72l4rp2ImL3T.xqnAkA0YR.9EPbAKqtPB0wa6", "s", shadow.ErrScheme},
		{"gost", "$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$uE5FcoxTz78xZpMZkpTmj/0MogyeNUSLIjdCxpQjz.8", "s", shadow.ErrScheme},
		{"2x", "$2x$05$abcdefghijklmnopqrstuu7Cetl8HYXz5NVjo28itdtbwxuvgl5uG", "s", shadow.ErrScheme},
		{"2", "$2$05$abcdefghijklmnopqrstuu7Cetl8HYXz5NVjo28itdtbwxuvgl5uG", "s", shadow.ErrScheme},
		{"argon2", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA", "s", shadow.ErrScheme},
		{"ldap", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "s", shadow.ErrScheme},
		{"yescrypt, other flags", "$y$.7T$abcd$mk9LxAkESYayjxH4oYfz/vF4D99gjgL0poBbztuZyT9", "secret", shadow.ErrScheme},
		{"no salt, no sum", "$6$", "s", shadow.ErrMalformed},
		{"no dollar", "$6", "s", shadow.ErrScheme},
		{"no sum", "$6$abcdefgh", "s", shadow.ErrMalformed},
		{"cut off", sha512Hash[:90], "", shadow.ErrMalformed},
		{"rounds below 1000", "$6$rounds=999$ab$" + sum86, "s", shadow.ErrMalformed},
		{"leading zero", "$6$rounds=01000$ab$" + sum86, "s", shadow.ErrMalformed},
		{"rounds beyond", "$6$rounds=1000000000$ab$" + sum86, "s", shadow.ErrMalformed},
		{"negative rounds", "$6$rounds=-5$ab$" + sum86, "s", shadow.ErrMalformed},
		{"long salt", "$6$abcdefghijklmnopq$" + sum86, "s", shadow.ErrMalformed},
		{"colon in salt", "$6$a:b$" + sum86, "s", shadow.ErrMalformed},
		{"two sums", "$6$ab$" + sum86 + "$" + sum86, "s", shadow.ErrMalformed},
		{"costly rounds", "$6$rounds=999999999$ab$" + sum86, "s", shadow.ErrCost},
		{"bcrypt cost 3", "$2b$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "s", shadow.ErrMalformed},
		{"bcrypt cost 31", "$2b$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "s", shadow.ErrCost},
		{"bcrypt cost +5", "$2b$+5$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "s", shadow.ErrMalformed},
		{"bcrypt salt bits", "$2b$04$abcdefghijklmnopqrstuv2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret", shadow.ErrMalformed},
		{"bcrypt cut off", "$2b$04$abcdefghijklmnopqrstuu2r9", "secret", shadow.ErrMalformed},
		{"yescrypt 2^63", "$y$jzz$abcd$" + sum43, "s", shadow.ErrCost},
		{"yescrypt 1 GiB", "$y$jFT$abcd$" + sum43, "s", shadow.ErrCost},
		{"yescrypt bad salt", "$y$j9T$abcde$" + sum43, "s", shadow.ErrMalformed},
		{"yescrypt cut off", "$y$j9T$abcd$aa", "s", shadow.ErrMalformed},
		{"long password", sha512Hash, strings.Repeat("x", 512), shadow.ErrPassword},
		{"NUL in password", sha512Hash, "a\x00b", shadow.ErrPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, err := shadow.Verify(c.hash, c.password)
			require.ErrorIs(t, err, c.want)
			require.False(t, ok)
		})
	}
}

// crypt hashes through the crypt(3) of this machine; "" stands for a setting that it refuses.
func crypt(t testing.TB, password, setting string) string {
	out, code := run(t, "", "perl", "-e", `my ($p, $s) = map { pack "H*", $_ } @ARGV; print crypt($p, $s) // ""`,
		fmt.Sprintf("%x", password), fmt.Sprintf("%x", setting))
	require.Zero(t, code)
	if strings.HasPrefix(out, "*") {
		return ""
	}
	return out
}

func TestVerifyAgainstLibcrypt(t *testing.T) {
	if crypt(t, "x", "$y$j75$F5Jx5fExrKuPp53xLKQ..1") == "" {
		t.Skip("crypt(3) of this machine has no yescrypt")
	}
	passwords := []string{"", "a", "pw-alice", "J\xf6rg", "p\u00e4ss w\u00f6rd:", strings.Repeat("0123456789", 30)}
	settings := []string{"$y$j75$F5Jx5fExrKuPp53xLKQ..1", "$y$j/.$", "$y$j.T$ab/.", "$y$j9T$abcdefghijklmnopqrst/.", "$2a$04$abcdefghijklmnopqrstuu", "$2y$05$......................"}
	for _, prefix := range []string{"$1$", "$5$", "$6$", "$5$rounds=1000$", "$6$rounds=1234$"} {
		for _, salt := range []string{"", "a", "abcd", "abcdefgh"} {
			settings = append(settings, prefix+salt)
		}
	}
	settings = append(settings, "$6$rounds=1000$abcdefghijklmno", "$6$rounds=1000$abcdefghijklmnop", "$5$%&'()+,-=?@[]^")
	for _, s := range settings {
		for _, p := range passwords {
			h := crypt(t, p, s)
			if h == "" {
				continue
			}
			ok, err := shadow.Verify(h, p)
			require.NoError(t, err, "setting %q, password %q", s, p)
			require.True(t, ok, "setting %q, password %q", s, p)
			ok, err = shadow.Verify(h, p+"x")
			require.NoError(t, err)
			require.Equal(t, crypt(t, p+"x", h) == h, ok, "setting %q, password %q with one more character", s, p)
		}
	}
}

// What Verify calls malformed can match no password: libcrypt never gives such a text out.
func TestMalformedNeverMatches(t *testing.T) {
	sum86 := strings.Repeat("a", 86)
	for _, setting := range []string{"$6$rounds=999$ab$", "$6$rounds=01000$ab$", "$6$abcdefghijklmnopq$", "$6$a:b$", "$6$a*b$", "$6$rounds=1000abc$de$"} {
		_, err := shadow.Verify(setting+sum86, "secret")
		require.ErrorIs(t, err, shadow.ErrMalformed, setting)
		got := crypt(t, "secret", setting+sum86)
		require.False(t, strings.HasPrefix(got, setting), "libcrypt gives out %s", setting)
	}
}
