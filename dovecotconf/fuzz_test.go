package dovecotconf

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%08Xu%08Xv", "%v.%u", "%{uid | hex(8)}%{uidvalidity | hex(8)}", "%-4.04Xv", "%0.-2LMf%g", "%{md5 | md5 | hexlify(3)}",
		"%%{uid}%{literal('x')}", "%9.3HUXRu%", "%{uid|lfill(3,'0')|upper|reverse}", "%EDTf"} {
		f.Add(s, s, uint32(7), uint32(1293872400), "name.S=1:2,S", "a2")
	}
	f.Fuzz(func(t *testing.T, a, b string, uid, validity uint32, name, guid string) {
		m := Message{UID: uid, UIDValidity: validity, MD5: "de2c3f1d41802ba0356a1e5f2f69a0e0", Filename: name + "n", GUID: guid}
		var all []*Format
		for _, v := range []string{"1.0", "1.2", "2.0.9", "2.3.19", "2.4.1"} {
			for _, s := range []string{a, b} {
				if x, err := ParseFormat(v, s); err == nil {
					all = append(all, x)
				}
			}
		}
		for _, x := range all {
			equal, reason := Equal(x, x)
			require.True(t, equal, reason)
			u, errU := x.Render(m)
			for _, y := range all {
				equal, _ := Equal(x, y)
				back, _ := Equal(y, x)
				require.Equal(t, equal, back)
				if v, errV := y.Render(m); equal {
					require.Equal(t, errU == nil, errV == nil)
					require.Equal(t, u, v)
				}
			}
			for _, to := range []string{"1.2", "2.3.19", "2.4.1"} {
				s, err := x.Translate(to)
				if err != nil {
					continue
				}
				y, err := ParseFormat(to, s)
				require.NoError(t, err)
				if v, err := y.Render(m); errU == nil {
					require.NoError(t, err, "%s -> %s", x, s)
					require.Equal(t, u, v, "%s -> %s", x, s)
				}
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, r := range readVectors(f) {
		// One run of each is enough: seeds cost time before fuzzing begins, and TestVectors has them all.
		run := r.Runs[slices.Min(slices.Collect(maps.Keys(r.Runs)))]
		f.Add([]byte(run.Config), []byte(r.Files["a.conf"]))
		f.Add([]byte(run.Output), []byte(run.Config))
	}
	f.Add([]byte("!include {b,a,*}.conf\n!include a.conf\nprotocol pop3 {\n"), []byte("}\n!include c.conf\n"))
	f.Fuzz(func(t *testing.T, src, other []byte) {
		for _, v := range []string{"", "1.0", "1.2", "2.0.9", "2.3.19", "2.4.1", "2.4.5"} {
			files := fstest.MapFS{"c.conf": {Data: src}, "a.conf": {Data: other}, "b.conf": {Data: other}}
			c, err := Load(files, "c.conf", &Options{Version: v, Expand: true, MaxFiles: 20})
			require.NoError(t, err)
			for _, file := range c.Files {
				if !c.Dump {
					require.Equal(t, string(files[file.Name].Data), string(file.Bytes()))
				}
			}
			c.Effective("pop3")
			require.NotEmpty(t, Compare(c, c, nil).String())
		}
	})
}

// FuzzIncludes makes files that include each other at will: cycles, missing ones, patterns, a device. Each byte of shape
// is a line of one of eight files.
func FuzzIncludes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, uint8(0))
	f.Add([]byte("!include me, and me again"), uint8(3))
	f.Add([]byte{8, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 255, 9, 17, 25}, uint8(1))
	f.Fuzz(func(t *testing.T, shape []byte, how uint8) {
		texts := make([]strings.Builder, 8)
		targets := []string{"0.conf", "1.conf", "2.conf", "[3-5].conf", "{6,7,0}.conf", "*.conf", "gone.conf", "dev.conf"}
		for i, b := range shape[:min(len(shape), 256)] {
			word := []string{"!include ", "!include_try ", "mail_plugins = $mail_plugins a #", "protocol pop3 {\n#"}[b>>6]
			fmt.Fprintf(&texts[(i+int(how))%8], "%s%s\n", word, targets[b>>3&7])
		}
		files := fstest.MapFS{}
		for i := range texts {
			files[fmt.Sprintf("%d.conf", i)] = &fstest.MapFile{Data: []byte(texts[i].String())}
		}
		for _, v := range []string{"1.2", "2.0.9", "2.3.19", "2.4.1"} {
			c, err := Load(deviceFS{files}, "0.conf", &Options{Version: v, MaxFiles: 50})
			require.NoError(t, err)
			require.LessOrEqual(t, len(c.Files), 50)
			for _, file := range c.Files {
				require.Equal(t, texts[file.Name[0]-'0'].String(), string(file.Bytes()))
			}
		}
	})
}

// The work is linear: four times the lines take no more than seven times the memory, where the square would be sixteen.
func TestLinear(t *testing.T) {
	for name, unit := range units {
		for _, v := range []string{"1.2", "2.3.19", "2.4.5"} {
			allocated := func(n int) uint64 {
				src := []byte(strings.Repeat(unit, n))
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				c, err := Load(fstest.MapFS{"c": {Data: src}}, "c", &Options{Version: v})
				require.NoError(t, err)
				c.Effective("pop3")
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			allocated(100) // what is made once
			one, four := allocated(300), allocated(1200)
			require.LessOrEqual(t, four, 7*one, "%s %s: %d and %d bytes", name, v, one, four)
		}
	}
}

// units are repeated to make a long file.
var units = map[string]string{
	"blocks":       "protocol pop3 {\n mail_debug = yes\n",
	"settings":     "mail_debug = yes\nprotocol pop3 {\n mail_debug = no\n}\n",
	"continuation": "login_greeting = a \\\n",
	"unknown":      "foo {\n bar\n}\n}\n",
	"variables":    "mail_plugins = $mail_plugins a\n",
	"list":         "mail_plugins {\n a = yes\n}\n",
	"quotes":       "login_greeting = 'a\\'\" \"b # c\n",
	"passdbs":      "passdb {\n driver = pam\n}\n",
	"heredoc":      "login_greeting = <<END\na\nEND\n",
}

// The time of one line must not depend on the number of lines.
func BenchmarkLoad(b *testing.B) {
	for name, unit := range units {
		for _, n := range []int{1000, 16000} {
			src := []byte(strings.Repeat(unit, n))
			for _, v := range []string{"1.2", "2.3.19", "2.4.5"} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, v, n), func(b *testing.B) {
					for b.Loop() {
						c, err := Load(fstest.MapFS{"c": {Data: src}}, "c", &Options{Version: v})
						require.NoError(b, err)
						c.Effective("pop3")
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit")
				})
			}
		}
	}
}
