package netcfg

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var ifcfgTexts = []string{
	"",
	"DEVICE=eth0\nHWADDR=52:54:00:00:00:01\nBOOTPROTO=none\nIPADDR=192.0.2.1\nNETMASK=255.255.255.0\nDOMAIN=\"example.test\"\n",
	"IPADDR=192.0.2.1 # ours\n",
	"IPADDR=\"192.0.2.1\"  \n",
	"IPADDR='192.0.2.1'",
	"DEVICE=eth0\r\nIPADDR=192.0.2.1\r\n\r\n# c\r\nPREFIX=24\r\n",
	"IPADDR=192.0.2.1\nIPADDR=192.0.2.2\n",
	"\n\n\t IPADDR=192.0.2.1\n  # c\n\n",
	"export IPADDR=192.0.2.1 PREFIX=24\nA=1; B=2 ; C=3 # x\n",
	"IPADDR = 192.0.2.1\nNAME=System eth0\nPREFIX=24\n",
	"if true; then\nIPADDR=192.0.2.1\nfi\n",
	"# note \\\nIPADDR=192.0.2.1\\\n2\nNAME=\"a\nb\"\n",
	"A=$'x\\ty' B=$\"z\" C=~ D=${A} E=a\\ b\n",
	"\ufeffDEVICE=eth0\nIPADDR=192.0.2.1\n",
	"A='x\\'\nB=\"\\$\\`\\\"\\\\ \\a\"\nC=x#y\n",
}

func TestIfcfgSet(t *testing.T) {
	tests := []struct{ name, src, key, value, want string }{
		{"comment stays", "IPADDR=192.0.2.1 # ours\n", "IPADDR", "192.0.2.10", "IPADDR=192.0.2.10 # ours\n"},
		{"double quotes and blanks stay", "IPADDR=\"192.0.2.1\"  \n", "IPADDR", "192.0.2.10", "IPADDR=\"192.0.2.10\"  \n"},
		{"single quotes, no newline", "IPADDR='192.0.2.1'", "IPADDR", "192.0.2.10", "IPADDR='192.0.2.10'"},
		{"CRLF", "A=1\r\nIPADDR=192.0.2.1\r\n", "IPADDR", "192.0.2.10", "A=1\r\nIPADDR=192.0.2.10\r\n"},
		{"the last one counts", "IPADDR=192.0.2.1\nIPADDR=192.0.2.2\n", "IPADDR", "192.0.2.10", "IPADDR=192.0.2.1\nIPADDR=192.0.2.10\n"},
		{"an empty last one counts", "IPADDR=192.0.2.1\nIPADDR=\n", "IPADDR", "192.0.2.10", "IPADDR=192.0.2.1\nIPADDR=192.0.2.10\n"},
		{"export stays", "export IPADDR=192.0.2.1\n", "IPADDR", "192.0.2.10", "export IPADDR=192.0.2.10\n"},
		{"no newline at the end", "A=1", "B", "2", "A=1\nB=2"},
		{"behind the last assignment", "A=1 # a\n\n# end\n", "B", "2", "A=1 # a\nB=2\n\n# end\n"},
		{"CRLF of the majority", "A=1\r\nC=3\r\n", "B", "2", "A=1\r\nC=3\r\nB=2\r\n"},
		{"CRLF without a last line end", "A=1\r\nONBOOT=no", "B", "2", "A=1\r\nONBOOT=no\r\nB=2"},
		{"CRLF without a last line end, in quotes", "A=1\r\nONBOOT='no'", "B", "2", "A=1\r\nONBOOT='no'\r\nB=2"},
		{"empty file", "", "B", "2", "B=2\n"},
		{"comment only", "# c", "B", "2", "# c\nB=2"},
		{"continued line", "A=1 \\\n  C=3\n# c\n", "B", "2", "A=1 \\\n  C=3\nB=2\n# c\n"},
		{"quotes where needed", "A=1\n", "A", "two words", "A=\"two words\"\n"},
		{"escapes", "A=\"1\"\n", "A", "a$b`c\"d\\e", "A=\"a\\$b\\`c\\\"d\\\\e\"\n"},
		{"style that cannot hold it", "A='1'\n", "A", "it's", "A=\"it's\"\n"},
		{"empty value", "A=\"x\"\n", "A", "", "A=\"\"\n"},
		{"tail of a shared line", "A=1; B=2 # x\n", "B", "3", "A=1; B=3 # x\n"},
		{"continued value", "A=1\\\n2\nB=3\n", "A", "4", "A=4\nB=3\n"},
		{"beside a program", "NAME=System eth0\nA=1\n", "A", "2", "NAME=System eth0\nA=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ParseIfcfg("ifcfg-eth0", []byte(tt.src))
			require.NoError(t, f.Set(tt.key, tt.value))
			require.Equal(t, tt.want, string(f.Bytes()))
			require.Equal(t, tt.value, f.plain(tt.key))
		})
	}
}

func TestIfcfgSetRefuses(t *testing.T) {
	tests := []struct{ name, src, key, want string }{
		{"blank before =", "A=1\nIPADDR = 192.0.2.1\n", "IPADDR", "ifcfg-eth0:2: IPADDR in a call"},
		{"prefix of a program", "NAME=System eth0\n", "NAME", "ifcfg-eth0:1: NAME in a call"},
		{"expansion", "IPADDR=$X\n", "IPADDR", "ifcfg-eth0:1: IPADDR: the value is an expansion"},
		{"+=", "IPADDR=1\nIPADDR+=2\n", "IPADDR", "ifcfg-eth0:2:"},
		{"unset", "IPADDR=1\nunset IPADDR\n", "A", "ifcfg-eth0:2: the shell word unset"},
		{"if", "A=1\nif x; then\nA=2\nfi\n", "A", "ifcfg-eth0:2: the shell word if"},
		{"substitution", "A=`x`\n", "A", "ifcfg-eth0:1: a command substitution"},
		{"array", "A=(1 2)\n", "B", "ifcfg-eth0:1: shell syntax ("},
		{"array element", "A[1]=x\n", "B", "an array element"},
		{"unterminated", "A=1\nB='x\n", "A", "ifcfg-eth0:2: an unterminated quote"},
		{"NUL", "A=1\x00\n", "A", "a NUL byte"},
		{"the shell's own", "BASH_ENV=x\n", "A", "the shell's own BASH_ENV"},
		{"source", ". /etc/sysconfig/network\n", "A", "the shell word ."},
		{"exit code of a list", "A=1 && B=2\n", "A", "shell syntax &"},
		{"redirection", "A=1 >x\n", "A", "shell syntax >"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ParseIfcfg("ifcfg-eth0", []byte(tt.src))
			err := f.Set(tt.key, "x")
			require.ErrorIs(t, err, ErrOpaque)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.src, string(f.Bytes()))
		})
	}
	f := ParseIfcfg("ifcfg-eth0", []byte("A=1\n"))
	require.ErrorContains(t, f.Set("A", "x\ny"), "one line")
	require.ErrorContains(t, f.Set("A-B", "x"), "no key")
	require.ErrorContains(t, f.Set("PATH", "x"), "no key")
}

func TestIfcfgRemove(t *testing.T) {
	tests := []struct{ name, src, key, want string }{
		{"whole line", "A=1\nNETWORK=192.0.2.0 # stale\nB=2\n", "NETWORK", "A=1\nB=2\n"},
		{"all of them", "A=1\nB=2\nA=3", "A", "B=2\n"},
		{"absent", "A=1\n", "B", "A=1\n"},
		{"first of a line", "A=1; B=2\n", "A", " B=2\n"},
		{"first of two", "A=1 B=2\n", "A", "B=2\n"},
		{"of an export", "export A=1 B=2\n", "B", "export A=1 \n"},
		{"continued", "A=1\\\n2\nB=1\n", "A", "B=1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ParseIfcfg("f", []byte(tt.src))
			require.NoError(t, f.Remove(tt.key))
			require.Equal(t, tt.want, string(f.Bytes()))
			require.False(t, f.Var(tt.key).Set)
		})
	}
	f := ParseIfcfg("f", []byte("A=1\nA=$x\n"))
	require.ErrorIs(t, f.Remove("A"), ErrOpaque)
	require.Equal(t, "A=1\nA=$x\n", string(f.Bytes()))
}

// TestTwoReaders holds bash's view, NetworkManager's view and the rule that names the difference.
func TestTwoReaders(t *testing.T) {
	tests := []struct {
		name, src, key string
		bash           string
		set            bool
		nm             string
		nmSet          bool
		rules          []string
	}{
		{"plain", "A=x\n", "A", "x", true, "x", true, []string{}},
		{"quoted", "A=\"x y\" # c\n", "A", "x y", true, "x y", true, []string{}},
		{"semicolon", "A=x ; # c\n", "A", "x", true, "x", true, []string{}},
		{"ansi", `A=$'a\tb\x41\101'` + "\n", "A", "a\tbAA", true, "a\tbAA", true, []string{}},
		{"hash inside", "A=192.0.2.1#c\n", "A", "192.0.2.1#c", true, "192.0.2.1#c", true, []string{}},
		{"duplicate", "A=1\nA=2\n", "A", "2", true, "2", true, []string{"warn DUP"}},
		{"empty last", "A=1\nA=\n", "A", "", true, "", true, []string{"warn DUP"}},
		{"CR", "A=x\r\n", "A", "x\r", true, "x", true, []string{"warn DIV-CR"}},
		{"export", "export A=x\n", "A", "x", true, "", false, []string{"warn DIV-EXPORT"}},
		{"continuation", "A=x\\\ny\n", "A", "xy", true, "", true, []string{"warn DIV-CONT"}},
		{"comment does not continue", "# c \\\nA=x\n", "A", "x", true, "x", true, []string{}},
		{"two on a line", "A=1 B=2\n", "A", "1", true, "", true, []string{"warn DIV-TWO", "warn DIV-TWO"}},
		{"program", "A=System eth0\n", "A", "", false, "", true, []string{"warn DIV-COMMAND"}},
		{"multi-line", "A=\"x\nB=1\ny\"\n", "A", "x\nB=1\ny", true, "", true, []string{"warn DIV-MULTILINE", "warn DIV-COMMAND"}},
		{"old escape", `A="\'"` + "\n", "A", `\'`, true, "'", true, []string{"warn DIV-ESCAPE"}},
		{"no old escape", `A="\'x"y` + "\n", "A", `\'xy`, true, `\'xy`, true, []string{}},
		{"not UTF-8", "A=\xff\n", "A", "\xff", true, "", true, []string{"warn DIV-UTF8"}},
		{"comment above", "#A=y\nDEVICE=eth0\n# A=z DEVICE=eth9\nA=x\n", "A", "x", true, "x", true, []string{}},
		{"commented DEVICE", "#DEVICE=eth9\nDEVICE=eth0\n", "DEVICE", "eth0", true, "eth0", true, []string{"warn DIV-GREP"}},
		{"commented DEVICE below", "DEVICE=eth0\n#DEVICE=eth9\n", "DEVICE", "eth0", true, "eth0", true, []string{}},
		{"commented NETTYPE", "# NETTYPE=qeth\nTYPE=Ethernet\nSLAVE=no\n", "TYPE", "Ethernet", true, "Ethernet", true, []string{"warn DIV-GREP"}},
		{"dollar in quotes", "A=\"a$\"\n", "A", "a$", true, "", true, []string{"warn DIV-VAR"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ParseIfcfg("f", []byte(tt.src))
			v := f.Var(tt.key)
			require.False(t, v.Opaque)
			require.Equal(t, tt.set, v.Set)
			require.Equal(t, tt.bash, v.Bash)
			require.Equal(t, tt.nmSet, v.NMSet)
			require.Equal(t, tt.nm, v.NM)
			require.Equal(t, tt.rules, rules(f.Findings()))
		})
	}
	v := ParseIfcfg("f", []byte("A=$X\n")).Var("A")
	require.True(t, v.Opaque)
	require.Equal(t, "$X", v.NM)
	require.Equal(t, []string{"warn DIV-VAR"}, rules(ParseIfcfg("f", []byte("A=$X\n")).Findings()))
	require.Equal(t, []string{"warn DIV-APPEND"}, rules(ParseIfcfg("f", []byte("A+=x\n")).Findings()))
	require.Equal(t, []string{"warn OPAQUE"}, rules(ParseIfcfg("f", []byte("A=1\nunset A\n")).Findings()))
}

func TestIfcfgAddresses(t *testing.T) {
	tests := []struct {
		name, src string
		want      string
		rules     []string
	}{
		{"mask", "IPADDR=192.0.2.1\nNETMASK=255.255.255.0\n", "IPADDR 192.0.2.1/24", []string{}},
		{"no mask", "IPADDR=192.0.2.1\nNETMASK=255.0.255.0\n", "", []string{"fail BAD-NETMASK"}},
		{"class A", "IPADDR=10.1.2.3\n", "IPADDR 10.1.2.3/8", []string{"warn CLASSFUL"}},
		{"class B", "IPADDR=172.16.2.3\n", "IPADDR 172.16.2.3/16", []string{"warn CLASSFUL"}},
		{"gap", "IPADDR=192.0.2.1\nPREFIX=24\nIPADDR1=192.0.2.2\nPREFIX1=24\nIPADDR2=192.0.2.3\nPREFIX2=24\nIPADDR4=192.0.2.5\nPREFIX4=24\n",
			"IPADDR 192.0.2.1/24, IPADDR1 192.0.2.2/24, IPADDR2 192.0.2.3/24", []string{"warn ADDRESS-GAP"}},
		{"0 and 1 may be absent", "IPADDR2=192.0.2.3\nPREFIX2=24\n", "IPADDR2 192.0.2.3/24", []string{}},
		{"prefix beats mask", "IPADDR=192.0.2.1\nPREFIX=24\nNETMASK=255.255.0.0\n", "IPADDR 192.0.2.1/24", []string{"warn PREFIX-NETMASK"}},
		{"same suffix only", "IPADDR=192.0.2.1\nPREFIX0=25\n", "IPADDR 192.0.2.1/24", []string{"warn CLASSFUL"}},
		{"both of them", "IPADDR=192.0.2.1\nPREFIX=24\nIPADDR0=192.0.2.2\nPREFIX0=25\n", "IPADDR 192.0.2.1/24, IPADDR0 192.0.2.2/25", []string{}},
		{"no address", "IPADDR=192.0.2.1#c\nPREFIX=24\n", "", []string{"fail BAD-ADDRESS"}},
		{"prefix out of range", "IPADDR=192.0.2.1\nPREFIX=33\n", "", []string{"fail BAD-NETMASK"}},
		{"expansion", "IPADDR=$X\n", "", []string{"fail OPAQUE-KEY"}},
		{"CRLF", "IPADDR=192.0.2.1\r\nPREFIX=24\r\n", "IPADDR 192.0.2.1/24", []string{}},
		{"none", "BOOTPROTO=dhcp\n", "", []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, found := ParseIfcfg("f", []byte(tt.src)).Addresses()
			var words []string
			for _, a := range got {
				words = append(words, a.Key+" "+a.Prefix.String())
			}
			require.Equal(t, tt.want, strings.Join(words, ", "))
			require.Equal(t, tt.rules, rules(found))
		})
	}
}

func TestMaskLength(t *testing.T) {
	for n := range 33 {
		require.Equal(t, n, maskLength(dotted(n)), netip.MustParseAddr(dotted(n)))
	}
	for _, s := range []string{"255.0.255.0", "0.0.0.1", "x", "::", "255.255.255"} {
		require.Equal(t, -1, maskLength(s), s)
	}
}

func TestIfcfgProblems(t *testing.T) {
	p := ParseIfcfg("etc/f", []byte("A=1\nNAME=System eth0\nunset A\n")).Problems()
	require.Len(t, p, 2)
	require.EqualError(t, p[0], `etc/f:2: no assignment: bash runs "eth0" as a program`)
	require.EqualError(t, p[1], "etc/f:3: the shell word unset: not statically decidable")
	require.ErrorIs(t, p[1], ErrOpaque)
}
