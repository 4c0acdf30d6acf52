package dovecotconf

import (
	"embed"
	"maps"
	"regexp"
	"strings"
	"sync"
)

//go:embed data/*.txt
var dataFiles embed.FS

// table is the settings of one version with their defaults. Keys inside sections carry them: "auth default/count".
type table struct {
	version  string // the version that was recorded
	defaults map[string]string
	distro   map[string]map[string]string // what the packages of Debian and Red Hat change: "debian", "redhat"
	lists    map[string]bool              // 2.4: settings that are lists and may be written as a block
}

var tables = sync.OnceValue(func() map[string]*table {
	out := map[string]*table{}
	for _, n := range []string{"1.0", "1.1", "1.2", "2.0", "2.3", "2.4"} {
		t := &table{version: n, defaults: map[string]string{}, distro: map[string]map[string]string{"debian": {}, "redhat": {}}, lists: map[string]bool{}}
		t.merge("data/" + n + ".txt")
		out[n] = t
	}
	t := &table{version: "2.4.5", defaults: maps.Clone(out["2.4"].defaults), lists: map[string]bool{}}
	t.merge("data/2.4.5.txt")
	out["2.4.5"] = t
	out["2.4"].join()
	t.join()
	return out
})

func (t *table) merge(name string) {
	src, err := dataFiles.ReadFile(name)
	if err != nil {
		return // the names are those of the embedded files
	}
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSuffix(line, "\n")
		if gone, ok := strings.CutPrefix(line, "@gone "); ok {
			delete(t.defaults, gone)
			continue
		}
		into := t.defaults
		if rest, ok := strings.CutPrefix(line, "@"); ok {
			distro, setting, _ := strings.Cut(rest, " ")
			into, line = t.distro[distro], setting
		}
		if k, v, ok := strings.Cut(line, " = "); ok && k[0] != '#' {
			into[k] = v
		}
	}
}

// join makes "mbox/read_locks" known as mbox_read_locks, its other name, and notes which settings are lists.
func (t *table) join() {
	for k, v := range maps.Clone(t.defaults) {
		i := strings.LastIndexByte(k, '/')
		if i < 0 {
			continue
		}
		filter, key := k[:i], k[i+1:]
		if _, root := t.defaults[key]; root || strings.Contains(filter, "/") {
			continue
		}
		if listNames[filter] {
			t.lists[filter] = true
			continue
		}
		t.defaults[filter+"_"+key] = v
	}
	for k := range listNames {
		t.lists[k] = true
	}
}

// tableOf gives the recorded version that is nearest to v: the last one not after it within 1.x, 2.0-2.2, 2.3 and 2.4.
func tableOf(v release) *table {
	name := "2.4.5"
	for _, c := range []struct {
		below release
		name  string
	}{{v11, "1.0"}, {v12, "1.1"}, {v20, "1.2"}, {v23, "2.0"}, {v24, "2.3"}, {v242, "2.4"}} {
		if v.before(c.below) {
			name = c.name
			break
		}
	}
	return tables()[name]
}

// DefaultsOf names the recorded version whose defaults stand for the given one: 2.1 and 2.2 use those of 2.0.
func (c *Config) DefaultsOf() string { return tableOf(c.v).version }

// fallback gives the default of a setting outside of sections.
func fallback(v release, key string) (string, bool) {
	if key == "pop3_uidl_format" {
		return defaultFormat(v), true
	}
	if s, ok := sinceTable(v, key); ok {
		return s, true
	}
	s, ok := tableOf(v).defaults[key]
	return s, ok
}

// sinceTable knows defaults that changed between recorded versions.
func sinceTable(v release, key string) (string, bool) {
	switch {
	case key == "auth_username_format" && v.between(v21, v24):
		return "%Lu", true
	case key == "mail_max_userip_connections" && v.between(v11, v20):
		return "10", true
	}
	return "", false
}

var (
	timeValue = regexp.MustCompile(`^\d+ (msecs|ms|secs|mins|hours|days|weeks)$`)
	sizeValue = regexp.MustCompile(`^\d+ [BkMGT]$`)
)

// valueType is how a version reads a setting.
type valueType uint8

const (
	textType valueType = iota
	boolType
	timeType
	sizeType
	numberType
)

// notBool are settings with more values than yes and no.
var notBool = wordSet(`ssl doveadm_ssl imapc_ssl pop3c_ssl submission_ssl submission_relay_ssl auth_verbose_passwords
	mailbox_auto namespace_list sieve_trace_level auto list nfs_check`)

var zeroSizes = wordSet("auth_cache_size submission_max_mail_size submission_relay_max_mail_size")

// typeOf derives the type of a setting from its default, which says yes or no, or bears a unit.
func typeOf(v release, key string) valueType {
	def, ok := tableOf(v).defaults[key]
	switch {
	case notBool[key]:
		return textType
	case zeroSizes[key] && !v.before(v20):
		return sizeType
	case !ok:
		return textType
	case def == "yes" || def == "no":
		return boolType
	case timeValue.MatchString(def):
		return timeType
	case sizeValue.MatchString(def):
		return sizeType
	case def != "" && strings.Trim(def, "0123456789") == "" && !strings.Contains(key, "mode"):
		return numberType
	}
	return textType
}

func wordSet(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}
