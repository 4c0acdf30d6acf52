package shadow_test

import (
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/shadow"
)

// edits is the interface by which a plan joins the one commit.
type edits interface {
	Edits() iter.Seq2[string, [2][]byte]
}

var _ edits = (*shadow.Plan)(nil)

// Hashes of "pw-alice" and others, made by crypt(3) of libxcrypt 4.4.33.
const (
	md5Hash    = "$1$abcdefgh$M55TzYaaccxVGbptZWaxX/"
	sha512Hash = "$6$abcdefgh$v7sYNA18/BerGOYQLppYLyjH4yJilp8kqe/ef3KYMK9hOIdzH1yzcmP74Ay.m51y1jP3QqxM7Jl75S4CxDhBq."
)

func host(shadowText, gshadowText string) *shadow.Host {
	return &shadow.Host{
		Shadow: shadow.Parse("etc/shadow", []byte(shadowText)),
		Group:  shadow.ParseGroup("etc/gshadow", []byte(gshadowText)),
	}
}

func users(names ...string) []shadow.Rename {
	var out []shadow.Rename
	for _, n := range names {
		from, to, ok := strings.Cut(n, "=")
		if !ok {
			to = from
		}
		out = append(out, shadow.Rename{From: from, To: to})
	}
	return out
}

// apply gives the host that the plan makes of h.
func apply(t testing.TB, h *shadow.Host, p edits) *shadow.Host {
	t.Helper()
	out := *h
	for path, c := range p.Edits() {
		switch path {
		case "etc/shadow":
			require.True(t, string(c[0]) == string(h.Shadow.Bytes()), "before is not the file")
			out.Shadow = shadow.Parse(path, c[1])
		case "etc/gshadow":
			require.True(t, string(c[0]) == string(h.Group.Bytes()), "before is not the file")
			out.Group = shadow.ParseGroup(path, c[1])
		default:
			require.Fail(t, "unknown path "+path)
		}
	}
	return &out
}

// write lays the two files, and others, below a temporary root.
func write(t testing.TB, h *shadow.Host, more map[string]string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	put := func(path, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(root, filepath.FromSlash(path)), []byte(content), 0o600))
	}
	if h.Shadow != nil {
		put("etc/shadow", string(h.Shadow.Bytes()))
	}
	if h.Group != nil {
		put("etc/gshadow", string(h.Group.Bytes()))
	}
	for path, content := range more {
		put(path, content)
	}
	return root
}

func kinds(list []shadow.Finding) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, f.Kind)
	}
	return out
}

func problemKinds(list []shadow.Problem) []string {
	out := []string{}
	for _, p := range list {
		out = append(out, p.Kind)
	}
	return out
}

// run gives the output of a program, and its exit status.
func run(t testing.TB, stdin string, tool string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(oracle.Need(t, tool), args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
