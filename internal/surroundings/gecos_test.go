package surroundings

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGecos(t *testing.T) {
	passwd := func(gecos string) string { return "anna:x:501:501:" + gecos + ":/home/anna:/bin/sh\n" }
	for _, c := range []struct {
		name, main, old, new string
		found                bool
	}{
		{"latin-1", "compatibility_level = 2\n", "Jos\xe9", "", true},
		{"a newer level", "compatibility_level = 3.6\n", "Jos\xe9", "", true},
		{"carried over", "compatibility_level = 2\n", "Jos\xe9", "Jos\xe9", true},
		{"mended on the new host", "compatibility_level = 2\n", "Jos\xe9", "José", false},
		{"UTF-8", "compatibility_level = 2\n", "José", "", false},
		{"switched off", "compatibility_level = 2\nsmtputf8_enable = no\n", "Jos\xe9", "", false},
		{"switched on", "smtputf8_enable = yes\n", "Jos\xe9", "", true},
		{"no level is level 0", "mail_owner = postfix\n", "Jos\xe9", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, new := with(fedora13, "etc/passwd", passwd(c.old)), with(debian13, "etc/postfix/main.cf", c.main)
			if c.new != "" {
				new["etc/passwd"] = passwd(c.new)
			}
			all := find(t, old, new, nil)
			require.Equal(t, c.found, slices.Contains(rules(all), "GECOS anna"), rules(all))
			if c.found {
				x := one(t, all, "GECOS")
				require.Equal(t, Loss, x.Severity)
				require.Contains(t, x.Advice, "smtputf8_enable = no")
			}
		})
	}
}
