package dovecotconf

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// recorded is one configuration with what real servers said about it.
type recorded struct {
	Name  string
	Args  []string
	Files map[string]string `json:"extra_files"`
	Runs  map[string]struct {
		Config, Output string
		Exit           int
	}
}

func readVectors(t testing.TB) []recorded {
	src, err := os.ReadFile("testdata/dovecot-cases.json")
	require.NoError(t, err)
	var out []recorded
	require.NoError(t, json.Unmarshal(src, &out))
	require.Len(t, out, 130)
	return out
}

// versions of the recorded servers by their short names.
var servers = map[string]string{"1.0": "1.0", "1.1": "1.1", "1.2": "1.2", "2.0.9": "2.0.9", "2.0.15": "2.0.15", "2.3": "2.3.19.1", "2.4.1": "2.4.1", "2.4.5": "2.4.5"}

func (r recorded) load(t testing.TB, version string) *Config {
	files := fstest.MapFS{}
	name := "tc/dovecot-" + version + ".conf"
	files[name] = &fstest.MapFile{Data: []byte(r.Runs[version].Config)}
	for f, text := range r.Files {
		files["tc/"+f] = &fstest.MapFile{Data: []byte(text)}
	}
	c, err := Load(files, name, &Options{Version: servers[version], Expand: slices.Contains(r.Args, "-x")})
	require.NoError(t, err)
	for _, f := range c.Files {
		require.Equal(t, string(files[f.Name].Data), string(f.Bytes()), "%s: bytes of %s", r.Name, f.Name)
	}
	return c
}

// disagreements are runs that the package does not reproduce, with the reason.
var disagreements = map[string]string{}

func TestVectors(t *testing.T) {
	runs, failed := 0, 0
	for _, r := range readVectors(t) {
		for version, run := range r.Runs {
			runs++
			id := r.Name + " " + version
			diff := compareRun(r, r.load(t, version), version)
			if reason, listed := disagreements[id]; listed {
				require.NotEmpty(t, diff, "%s agrees now; it was listed because %s", id, reason)
				failed++
				continue
			}
			if run.Exit == 134 { // 2.4.1 crashes where 2.4.5 refuses
				run.Exit = 89
			}
			if diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	}
	t.Logf("%d recorded runs, %d listed disagreements", runs, failed)
	require.Less(t, failed, 10)
}

func compareRun(r recorded, c *Config, version string) string {
	run := r.Runs[version]
	if refused := run.Exit != 0; refused != c.Refused() {
		return fmt.Sprintf("recorded exit %d, ours refused=%v: %v", run.Exit, c.Refused(), c.Problems())
	}
	if run.Exit != 0 {
		return compareError(run.Output, "/tc/", c)
	}
	return compareSettings(flattenOutput(c.v, run.Output), flattenConfig(c, slices.Contains(r.Args, "-x")), c)
}

var errorLine = regexp.MustCompile(`(?m)(?:^doveconf: Fatal: |^Error: )(?:Error in configuration file (\S+?)(?: line (\d+))?: )?(.*)$`)

// compareError wants the recorded message among ours, at the recorded line.
func compareError(output, dir string, c *Config) string {
	if strings.Contains(output, "Panic: ") {
		return ""
	}
	m := errorLine.FindStringSubmatch(output)
	if m == nil || m[3] == "Errors in configuration" {
		m = regexp.MustCompile(`(?m)(?:)(x)?(y)?(?:doveconf: Error: )(.*)$`).FindStringSubmatch(output)
	}
	short := strings.NewReplacer(dir, "", strings.TrimPrefix(dir, "/"), "")
	want := short.Replace(m[3])
	for _, p := range c.Problems() {
		got := short.Replace(strings.SplitN(p.Message, "\n", 2)[0])
		if p.Fatal && got == want && (m[2] == "" || strings.HasSuffix(p.At, ":"+m[2])) {
			return ""
		}
	}
	return fmt.Sprintf("recorded %q at line %q, ours %v", want, m[2], c.Problems())
}

// flattenOutput reads the recorded text with nothing of the package but unescape.
func flattenOutput(v release, output string) map[string]string {
	out := map[string]string{}
	var path []string
	last := ""
	sep := " = "
	if v.before(v20) {
		sep = ": "
	}
	count := map[string]int{}
	name := func(s string) string {
		s = strings.ReplaceAll(strings.ReplaceAll(s, `"`, ""), "/8/8", "/8")
		if strings.Contains(s, " ") || s == "plugin" || s == "dict" || strings.Contains("mail_plugins protocols mbox auth_policy ssl_server", s) {
			return s
		}
		full := strings.Join(path, "|") + s
		if count[full]++; count[full] > 1 {
			return fmt.Sprintf("%s[%d]", s, count[full])
		}
		return s
	}
	for _, line := range strings.Split(output, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		indent := (len(line) - len(trimmed)) / 2
		switch {
		case strings.HasPrefix(line, "doveconf: "), strings.HasPrefix(line, "# "), strings.HasPrefix(line, "Warning: "), trimmed == "}":
		case v.before(v20) && strings.HasSuffix(trimmed, ":") && !strings.Contains(trimmed, "_"):
			path = path[:min(indent, len(path))]
			path = append(path[:indent], name(strings.TrimSuffix(trimmed, ":")))
		case strings.HasSuffix(trimmed, " {") && !strings.Contains(trimmed, sep):
			path = path[:min(indent, len(path))]
			path = append(path[:indent], name(strings.TrimSuffix(trimmed, " {")))
		case strings.Contains(trimmed, sep) || strings.HasSuffix(trimmed, strings.TrimSpace(sep)):
			k, val, _ := strings.Cut(trimmed, strings.TrimRight(sep, " "))
			val = strings.TrimPrefix(val, " ")
			if v.before(v20) {
				k = strings.TrimSuffix(k, "(default)")
				if i := strings.IndexByte(k, '('); i > 0 {
					last = "protocol " + strings.TrimSuffix(k[i+1:], ")") + "/" + k[:i]
					out[last] = val
					continue
				}
			}
			last = strings.Join(append(slices.Clone(path[:min(indent, len(path))]), strings.TrimSpace(k)), "/")
			out[last] = val
		case last != "":
			out[last] += "\n" + line
		}
	}
	for k, val := range out {
		if n := len(val); !v.before(v20) && n >= 2 && val[0] == '"' && val[n-1] == '"' {
			out[k] = unescape(val[1 : n-1])
		} else if strings.HasPrefix(val, "<<END\n") {
			out[k] = strings.TrimSuffix(strings.TrimPrefix(val, "<<END\n"), "END")
		}
	}
	if v.old() {
		return out
	}
	joined := map[string]string{}
	for k, val := range out { // f { key } of the dump is the setting f_key
		i := strings.LastIndexByte(k, '/')
		if i > 0 && !strings.Contains(k[:i], " ") && !listNames[k[:i]] {
			k = k[:i] + "_" + k[i+1:]
		}
		joined[k] = val
	}
	return joined
}

func flattenConfig(c *Config, long bool) map[string]string {
	out := map[string]string{}
	for i := range c.entries {
		e := &c.entries[i]
		var path []string
		for _, f := range e.filters {
			path = append(path, f.kind+" "+f.arg)
		}
		k := strings.Join(append(path, e.name()), "/")
		maps.DeleteFunc(out, func(o, _ string) bool { return listNames[e.key] && strings.HasPrefix(o, k+"/") })
		out[k] = e.value
		if long {
			out[k] = e.long
		}
		out[k] = show(c.v, e.key, out[k])
	}
	if !c.v.before(v20) {
		return out
	}
	for k, v := range out { // the dump of 1.x shows the two records when they differ and pop3 is served
		if rest, ok := strings.CutPrefix(k, "protocol imap/"); ok {
			delete(out, k)
			out[rest] = v
		} else if strings.HasPrefix(k, "protocol ") {
			delete(out, k)
		}
	}
	return out
}

// sectionDefaults are what sections hold when nothing is said.
var sectionDefaults = map[string]string{"type": "private", "list": "yes", "subscriptions": "yes", "location": ""}

func compareSettings(want, got map[string]string, c *Config) string {
	var diff []string
	for k, v := range want {
		key := k[strings.LastIndexByte(k, '/')+1:]
		if strings.HasPrefix(key, "login_dir") || strings.Contains(key, "_executable") || key == "mail_plugin_dir" {
			continue // where the recorded server was built
		}
		have, ok := got[k]
		if !ok {
			if have, ok = c.fallback(key); !ok || strings.Contains(k, "/") {
				have, ok = sectionDefaults[key], strings.Contains(k, "/")
			}
		}
		if !ok || strings.TrimRight(have, "\n") != strings.TrimRight(v, "\n") {
			diff = append(diff, fmt.Sprintf("%s: recorded %q, ours %q", k, v, have))
		}
	}
	for k, v := range got {
		key := k[strings.LastIndexByte(k, '/')+1:]
		def, known := c.fallback(key)
		if strings.Contains(k, "/") {
			def, known = sectionDefaults[key]
		}
		if _, ok := want[k]; !ok && (!known || def != v) {
			diff = append(diff, fmt.Sprintf("%s = %q is not in the record", k, v))
		}
	}
	slices.Sort(diff)
	return strings.Join(diff, "; ")
}
