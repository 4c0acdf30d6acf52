package shadow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

// The canaries are hashes of every shape. No output may have the word, be it as text, in hexadecimal or as numbers.
var canaries = []string{
	"$6$CANARYCANARY$CANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCA",
	"$6$rounds=999$CANARY$CANARY", "$6$rounds=999999999$CANARY$" + strings.Repeat("CANARY", 14) + "CA",
	"$1$CANARY$CANARYCANARYCANARYCANA", "$2b$31$CANARYCANARYCANARYCANuCANARYCANARYCANARYCANARYCANARYC", "$2b$CANARY", "$2b$xx$CANARY",
	"$y$j9T$CANARY$CANARY", "$y$CANARY$CANARY$CANARY", "CANARYCANARY.", "_CANARYCANARYCANARYC", "CANARY", "CANARY:CANARY", "CANARY\nCANARY", "CANARY\x00CANARY",
	"!$6$CANARY$CANARY", "*CANARY", "!!CANARYCANARY.", "$argon2id$CANARY", "{SSHA}CANARY", strings.Repeat("CANARY", 8000),
}

func leaks(out string) bool {
	low := strings.ToLower(out)
	if strings.Contains(out, "CANARY") {
		return true
	}
	for _, form := range []string{"43414e415259", "67 65 78 65 82 89", "43 41 4e 41 52 59", "0x43, 0x41, 0x4e"} {
		if strings.Contains(low, form) {
			return true
		}
	}
	return false
}

// printed gives v as every way of printing shows it.
func printed(t *testing.T, v any) map[string]string {
	out := map[string]string{}
	for _, verb := range strings.Split("v +v #v s +s #s q x X # x d t T c b o e g U p w", " ") {
		if verb == "p" || verb == "T" {
			continue // addresses and types
		}
		out["%"+verb] = fmt.Sprintf("%"+verb, v)
		out["in a struct %"+verb] = fmt.Sprintf("%"+verb, struct{ hidden any }{v})
	}
	if b, err := json.Marshal(v); err == nil {
		out["json"] = string(b)
	} else {
		out["json error"] = err.Error()
	}
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "v", v)
	out["slog"] = buf.String()
	buf.Reset()
	require.NoError(t, template.Must(template.New("").Parse("{{.}}{{printf \"%s\" .}}")).Execute(&buf, v))
	out["template"] = buf.String()
	return out
}

func quiet(t *testing.T, what string, v any) {
	t.Helper()
	if v == nil {
		return
	}
	for how, out := range printed(t, v) {
		if leaks(out) {
			t.Errorf("%s shows the hash by %s", what, how) // not out itself
		}
	}
}

// recorder stands for a test that fails.
type recorder struct{ bytes.Buffer }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

func TestCanary(t *testing.T) {
	for i, c := range canaries {
		s := shadow.NewSecret(c)
		e := shadow.Entry{Name: "u", Hash: s}
		g := shadow.Group{Name: "g", Hash: s}
		quiet(t, "Secret", s)
		quiet(t, "*Secret", &s)
		quiet(t, "Entry", e)
		quiet(t, "[]Entry", []shadow.Entry{e})
		quiet(t, "map", map[string]shadow.Secret{"u": s})
		quiet(t, "Group", &g)
		quiet(t, "unexported field", struct{ e shadow.Entry }{e})
		quiet(t, "pointer to unexported field", &struct{ s shadow.Secret }{s})
		_, err := s.Unlock()
		quiet(t, "Unlock", err)
		for _, password := range []string{c, "x", strings.Repeat("CANARY", 100)} {
			_, err = shadow.Verify(c, password)
			quiet(t, "Verify", err)
		}
		quiet(t, "Add", host("", "").Shadow.Add(e))
		if !strings.ContainsAny(c, ":\n") && len(c) < 1000 { // no field of a file has those
			canaryFiles(t, c, e, g)
		}
		if t.Failed() {
			t.Fatalf("canary %d", i)
		}
	}
}

// canaryFiles plants c in every place of the four files, and prints all that comes of it.
func canaryFiles(t *testing.T, c string, e shadow.Entry, g shadow.Group) {
	const dated = ":14700:0:90:7:14:15000:"
	name := c // what stands for a name is shown when it may be one; a hash of today may not
	if !strings.Contains(c, "$") {
		name = "u"
	}
	lines := []string{"u:" + c + dated, "u:" + c + dated + "\r", "u:" + c + ":1:2", "u:1:" + c + ":0:90:7:::", c, name + ":14700:0:90:7:::", "u:!" + c + dated,
		"u:x:1:2:3:4:5:6:" + c, "u:x:1:2:3:4:5:" + c, "  u:" + c + dated, "u:" + c + ":+1:::::: ", "u:" + c + "\x00" + dated, "u:old:::::::\nu:" + c + dated}
	groups := []string{"g:" + c + "::", "g:" + c, "g:!:" + name + ":x", "g:!:a:b:" + c, c, "g:" + c + ":root:x\r"}
	for i, line := range lines {
		gline := groups[i%len(groups)]
		for _, h := range []*shadow.Host{host(line+"\n", gline+"\n"), host("root:*:1::::::\n", "")} {
			quiet(t, "Host", h)
			quiet(t, "*Host", *h)
			quiet(t, "File", *h.Shadow)
			quiet(t, "GroupFile", h.Group)
			quiet(t, "Problems", h.Shadow.Problems())
			quiet(t, "group Problems", h.Group.Problems())
			for name, err := range map[string]error{"Add": h.Shadow.Add(e), "Set": h.Shadow.Set(e), "Add g": h.Group.Add(g), "Set g": h.Group.Set(g), "Remove": h.Shadow.Remove(name)} {
				quiet(t, name, err)
			}
			quiet(t, "File after edits", h.Shadow)
		}
		for n, o := range []*shadow.Options{
			{Users: users("u"), Groups: users("g"), Today: time.Now()},
			{Users: users("u=v", "w"), Groups: users("g=j"), Password: func(string) string { return c }, GroupPasswords: true, Libcrypt: shadow.Glibc},
		} {
			if (i+len(c)+n)%2 == 0 {
				continue
			}
			old, target := host(line+"\n", gline+"\n"), host("root:*:1::::::\nv:"+strings.NewReplacer("\n", "", ":", "", "\x00", "").Replace(c)+"x"+dated+"\n", "g:"+c+"::\n")
			root := write(t, target, nil)
			for _, pair := range [][2]*shadow.Host{{old, target}, {target, old}, {old, old}, {old, host("u:y:1:2:3:4:5:6:7\n", "")}} {
				plan := shadow.Merge(pair[0], pair[1], o)
				quiet(t, "Plan", plan)
				quiet(t, "*Plan", *plan)
				quiet(t, "Verify", plan.Verify(context.Background(), root))
			}
			var fail recorder
			assert.Equal(&fail, shadow.Merge(old, target, o), old)
			assert.Equal(&fail, old.Shadow, target.Group)
			require.NotZero(t, fail.Len())
			if leaks(fail.String()) {
				t.Error("the message of a failed test shows the hash")
			}
		}
	}
}

// The canary has to be able to sing.
func TestCanaryIsHeard(t *testing.T) {
	for what, v := range map[string]any{"text": canaries[0], "bytes": []byte(canaries[0]), "raw": struct{ s string }{canaries[0]}} {
		heard := 0
		for _, out := range printed(t, v) {
			if leaks(out) {
				heard++
			}
		}
		require.NotZero(t, heard, what)
	}
}
