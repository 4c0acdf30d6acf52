package mx

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every rule of the package's documentation is one that the code has, with that severity in a test; and the other way.
func TestRulesAreDocumentedAndTested(t *testing.T) {
	var code, tests strings.Builder
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		switch {
		case f == "doc.go":
		case strings.HasSuffix(f, "_test.go"):
			tests.Write(text)
		default:
			code.Write(text)
		}
	}
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	documented := regexp.MustCompile(`(?m)^//\t((?:MX|SM)\d\d) (\w+) `).FindAllStringSubmatch(string(doc), -1)
	require.Len(t, documented, 39)
	known := map[string]bool{}
	for _, d := range documented {
		known[d[1]] = true
		require.Contains(t, code.String(), `"`+d[1]+`"`)
		require.Regexp(t, `"[^"]*`+d[1]+" "+d[2], tests.String(), "no test wants %s %s", d[1], d[2])
	}
	for _, rule := range regexp.MustCompile(`"((?:MX|SM)\d\d)"`).FindAllStringSubmatch(code.String(), -1) {
		require.True(t, known[rule[1]], rule[1])
	}
}
