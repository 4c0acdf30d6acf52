package shadow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/shadow"
)

func hostOf(text string) *shadow.Host {
	return &shadow.Host{Shadow: shadow.Parse("etc/shadow", []byte(text))}
}

// TestFollow: was is what came over, now what the old host has, has what the new one has. The same must come of a second
// merge of the outcome.
func TestFollow(t *testing.T) {
	a, b, c := md5Hash, sha512Hash, "$6$other$"+sha512Hash[3:]
	line := func(hash, rest string) string { return "u:" + hash + ":" + rest + "\n" }
	for _, x := range []struct {
		name, was, now, has, want string
		warnings                  []string
	}{
		{"nothing changed", line(a, "14700:0:99999:7:::"), line(a, "14700:0:99999:7:::"), line(a, "14700:0:99999:7:::"), line(a, "14700:0:99999:7:::"), nil},
		{"a new password", line(a, "14700:0:99999:7:::"), line(b, "14800:0:99999:7:::"), line(a, "14700:0:99999:7:::"), line(b, "14800:0:99999:7:::"), []string{"followed"}},
		{"locked", line(a, "14700:0:99999:7:::"), line("!"+a, "14700:0:99999:7:::"), line(a, "14700:0:99999:7:::"), line("!"+a, "14700:0:99999:7:::"), []string{"followed", "locked"}},
		{"an expiry date", line(a, "14700::::::"), line(a, "14700:::::20000:"), line(a, "14700::::::"), line(a, "14700:::::20000:"), []string{"followed"}},
		{"a new password on the new host alone", line(a, "14700::::::"), line(a, "14700::::::"), line(c, "14900::::::"), line(c, "14900::::::"), nil},
		{"on both", line(a, "14700::::::"), line(b, "14800::::::"), line(c, "14900::::::"), line(c, "14900::::::"), []string{"differs"}},
		{"alike on both", line(a, "14700::::::"), line(b, "14800::::::"), line(b, "14800::::::"), line(b, "14800::::::"), nil},
		{"other fields on both", line(a, "14700:0:99999:7:::"), line(b, "14800:0:99999:7:::"), line(a, "14700:1:90:7:::"), line(b, "14800:1:90:7:::"), []string{"followed", "min-lost"}},
		{"one follows, one stands", line(a, "14700:0:99999:7:::"), line(b, "14800:0:60:7:::"), line(a, "14700:0:90:7:::"), line(b, "14800:0:90:7:::"), []string{"differs", "followed"}},
		{"a date set here is part of the password", line(a, "14700::::::"), line(b, "14800::::::"), line(a, "0::::::"), line(a, "0::::::"), []string{"differs"}},
		{"no line there any more", line(a, "14700::::::"), "v:x:::::::\n", line(a, "14700::::::"), line(a, "14700::::::"), nil},
		{"a line that cannot be read", line(a, "14700::::::"), "u:" + b + ":14800\n" + "u:::", line(a, "14700::::::"), line(a, "14700::::::"), nil},
		{"nothing came over", "", line(b, "14800::::::"), line(a, "14700::::::"), line(a, "14700::::::"), nil},
		{"no line here", line(a, "14700::::::"), line(b, "14800::::::"), "v:!:::::::\n", "v:!:::::::\n", nil},
		{"cannot be written", line(a, "14700::::::"), line("x\x01", "14800::::::"), line(a, "14700::::::"), line(a, "14700::::::"), []string{"unwritable"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			opt := &shadow.Options{Follow: []shadow.Rename{{From: "u", To: "u"}}, Carried: hostOf(x.was)}
			p := shadow.Merge(hostOf(x.now), hostOf(x.has), opt)
			require.Empty(t, p.Conflicts)
			got := x.has
			for path, edit := range p.Edits() {
				require.Equal(t, []string{path}, p.Changed)
				require.Equal(t, x.has, string(edit[0]))
				got = string(edit[1])
			}
			require.Equal(t, x.want, got)
			var kinds []string
			for _, w := range p.Warnings {
				if w.Kind != "control" && w.Kind != "field-count" && w.Kind != "no-newline" {
					kinds = append(kinds, w.Kind)
				}
			}
			require.Equal(t, x.warnings, kinds)
			opt.Carried = hostOf(x.now)
			require.Empty(t, shadow.Merge(hostOf(x.now), hostOf(got), opt).Changed, "again")
		})
	}
	p := shadow.Merge(hostOf(line(b, "14800::::::")), hostOf("w:"+a+":14700::::::\n"), &shadow.Options{Follow: []shadow.Rename{{From: "u", To: "w"}}, Carried: hostOf(line(a, "14700::::::"))})
	for _, edit := range p.Edits() {
		require.Equal(t, "w:"+b+":14800::::::\n", string(edit[1]), "by another name")
	}
	require.Equal(t, []string{"etc/shadow"}, p.Changed)
}

func TestFollowShowsNoHash(t *testing.T) {
	for _, now := range canaries {
		for _, has := range []string{"$1$CANARY$x", "!"} {
			p := shadow.Merge(hostOf("u:"+now+":1::::::\n"), hostOf("u:"+has+":2::::::\n"), &shadow.Options{
				Follow: []shadow.Rename{{From: "u", To: "u"}}, Carried: hostOf("u:$1$CANARY$x:2::::::\n")})
			for how, out := range printed(t, p) {
				require.False(t, leaks(out), fmt.Sprintf("%q %s", now, how))
			}
		}
	}
}
