package shadow_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/shadow"
)

// scene is a merge with the etc/passwd and etc/group that the target has before and after it.
var scene = struct {
	oldShadow, oldGshadow              string
	shadow, gshadow                    string
	passwd, group, addedPasswd, group2 string
}{
	oldShadow: "root:" + md5Hash + ":14700:0:99999:7:::\nalice:" + md5Hash + ":14700:0:99999:7:::\nbob:!!" + sha512Hash + ":14700:0:99999:7:::\n" +
		"carol:" + sha512Hash + ":14700:0:99999:7::\nfive:" + md5Hash + ":14700:0:99999\ndos:" + md5Hash + ":14700:0:99999:7:::\r\n",
	oldGshadow: "root:::\nalice:!::\ndev:!:alice,root,ghost:alice,bob\n",
	shadow:     "root:*:19000:0:99999:7:::\n# kept\nubuntu:!:19000:0:99999:7:::\nshort:x:1:2",
	gshadow:    "root:*::\nsudo:*::ubuntu\nubuntu:!::",
	passwd:     "root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1000::/home:/bin/sh\n",
	group:      "root:x:0:\nsudo:x:27:ubuntu\nubuntu:x:1000:\n",
	addedPasswd: "alice:x:1001:1001::/home:/bin/sh\nbob:x:1002:1001::/home:/bin/sh\ncarol:x:1003:1001::/home:/bin/sh\nfive:x:1004:1001::/home:/bin/sh\n" +
		"dos:x:1005:1001::/home:/bin/sh\nnew:x:1006:1001::/home:/bin/sh\n",
	group2: "root:x:0:\nsudo:x:27:ubuntu,alice\nubuntu:x:1000:\nalice:x:1001:\ndev:x:1007:alice,bob\n",
}

// play gives the roots before and after.
func play(t *testing.T) (before, after string) {
	oracle.Root(t)
	old, target := host(scene.oldShadow, scene.oldGshadow), host(scene.shadow, scene.gshadow)
	plan := shadow.Merge(old, target, &shadow.Options{
		Users: users("alice", "bob", "carol", "five", "dos", "new"), Groups: users("alice", "dev"),
		Members: map[string][]string{"dev": {"alice", "bob"}, "sudo": {"alice"}},
	})
	require.Empty(t, plan.Conflicts)
	shells := map[string]string{"etc/passwd": scene.passwd, "etc/group": scene.group, "etc/login.defs": "USERGROUPS_ENAB yes\nUID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n"}
	before = write(t, target, shells)
	shells["etc/passwd"] += scene.addedPasswd
	shells["etc/group"] = scene.group2
	after = write(t, apply(t, target, plan), shells)
	return before, after
}

// complaints are the lines that a linter prints, without those on a missing shell or home, which a bare root has not.
func complaints(t *testing.T, root, tool string) []string {
	out, _ := run(t, "", tool, "-r", "-R", root)
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(l string) bool {
		return strings.Contains(l, "does not exist") || strings.HasPrefix(l, tool+": ")
	})
	require.NotContains(t, out, "cannot", out)
	return lines
}

func TestNoNewComplaints(t *testing.T) {
	before, after := play(t)
	for _, tool := range []string{"pwck", "grpck"} {
		had := complaints(t, before, tool)
		for _, line := range complaints(t, after, tool) {
			require.Contains(t, had, line, tool)
		}
	}
}

// A linter that reads nothing would be content with anything.
func TestLintersSee(t *testing.T) {
	_, after := play(t)
	path := filepath.Join(after, "etc", "shadow")
	f, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(f), "\nalice:", "\nalicf:", 1)), 0o600))
	require.Contains(t, strings.Join(complaints(t, after, "pwck"), "\n"), "alice")
}

// The tools that come after us add to our files without touching our lines.
func TestUseraddKeepsLines(t *testing.T) {
	_, after := play(t)
	for path, name := range map[string]string{"etc/shadow": "probe:", "etc/gshadow": "probe:"} {
		was, err := os.ReadFile(filepath.Join(after, path))
		require.NoError(t, err)
		t.Cleanup(func() {
			now, err := os.ReadFile(filepath.Join(after, path))
			require.NoError(t, err)
			rest, ok := strings.CutPrefix(string(now), string(was))
			require.True(t, ok, "%s: useradd changed our lines", path)
			require.True(t, strings.HasPrefix(rest, name))
		})
	}
	out, code := run(t, "", "useradd", "-R", after, "-M", "probe")
	require.Zero(t, code, out)
}

func TestPwconvKeepsBytes(t *testing.T) {
	_, after := play(t)
	for _, tool := range []string{"pwconv", "grpconv"} {
		var was [][]byte
		files := []string{"passwd", "shadow", "group", "gshadow"}
		if tool == "pwconv" { // it drops lines of shadow that have no user, which the scene has on purpose
			path := filepath.Join(after, "etc", "shadow")
			f, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(f), "# kept\n", "", 1)), 0o600))
		}
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(after, "etc", f))
			require.NoError(t, err)
			was = append(was, b)
		}
		out, code := run(t, "", tool, "-R", after)
		require.Zero(t, code, out)
		for i, f := range files {
			b, err := os.ReadFile(filepath.Join(after, "etc", f))
			require.NoError(t, err)
			require.True(t, string(was[i]) == string(b), "%s changed %s", tool, f)
		}
	}
}

// What libc reads from the merged file is what the plan says.
func TestMergedAgainstLibc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("glibc is asked")
	}
	old, target := host(scene.oldShadow, ""), host(scene.shadow, "")
	plan := shadow.Merge(old, target, &shadow.Options{Users: users("alice", "bob", "carol", "five", "dos", "new")})
	lines := strings.Split(strings.TrimSpace(string(apply(t, target, plan).Shadow.Bytes())), "\n")
	for i, got := range ask(t, "sp", lines[4:]) {
		require.Len(t, got, 7, "line %d", i)
	}
}
