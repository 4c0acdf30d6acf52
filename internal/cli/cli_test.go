package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

func call(args ...string) (*Call, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return New("prog", "usage: prog FILE\nexample: prog x", args, &out, &errs), &out, &errs
}

func TestExitCodes(t *testing.T) {
	ctx := context.Background()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		code   int
		stderr string
	}{
		{"done", ctx, nil, 0, ""},
		{"help", ctx, flag.ErrHelp, 0, ""},
		{"finding", ctx, ErrFinding, 1, ""},
		{"failure", ctx, errors.New("no such file"), 2, "prog: error: no such file\n"},
		{"failure with a hint", ctx, &Hinted{errors.New("locked"), "wait"}, 2, "prog: error: locked\nprog: hint: wait\n"},
		{"interrupted", cancelled, context.Canceled, 130, "prog: error: interrupted\nprog: hint: run the same command again to go on\n"},
		{"interrupted, with a hint", cancelled, &Hinted{context.Canceled, "go back"}, 130, "prog: error: interrupted\nprog: hint: go back\n"},
		{"failed before the interrupt", cancelled, errors.New("disk full"), 2, "prog: error: disk full\n"},
	} {
		p, out, errs := call()
		require.Equal(t, c.code, p.exit(c.ctx, c.err), c.name)
		require.Equal(t, c.stderr, errs.String(), c.name)
		require.Empty(t, out.String(), c.name)
	}
}

// TestHelpOfAWord: -h behind a word shows what belongs to it, and other flags are understood as well.
func TestHelpOfAWord(t *testing.T) {
	start := func(args ...string) (string, string, error) {
		p, out, errs := call(args...)
		p.Flags.String("file", "x", "read this `file`")
		p.Flags.Bool("other", false, "another thing")
		word, err := p.Word("do", "undo")
		require.NoError(t, err)
		if word == "do" {
			p.Help("usage: prog do\nexample: prog do -file y", "file")
		}
		err = p.Parse(0, 0)
		return out.String(), errs.String(), err
	}
	out, _, err := start("do", "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Equal(t, "usage: prog do\nexample: prog do -file y\n\nflags:\n  -file file\n    \tread this file (default \"x\")\n", out)
	for _, args := range [][]string{{"-h"}, {"undo", "-h"}} {
		out, _, err = start(args...)
		require.ErrorIs(t, err, flag.ErrHelp)
		require.Contains(t, out, "usage: prog FILE")
		require.Contains(t, out, "-other")
	}
	_, _, err = start("do", "-other")
	require.NoError(t, err)
	_, errs, err := start("do", "-nonsense")
	require.Error(t, err)
	require.Contains(t, errs, "hint: prog do -h shows how\n")
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args     []string
		min, max int
		ok       bool
	}{
		{nil, 0, 0, true}, {[]string{"a"}, 0, 0, false}, {nil, 1, 1, false}, {[]string{"-json", "a"}, 1, 1, true},
		{[]string{"-nonsense"}, 0, 0, false}, {[]string{"a", "b", "c"}, 1, -1, true},
	} {
		p, out, errs := call(c.args...)
		err := p.Parse(c.min, c.max)
		require.Empty(t, out.String(), c.args)
		require.Equal(t, c.ok, err == nil, c.args)
		if !c.ok {
			require.Contains(t, errs.String(), "prog: error: ")
			require.Equal(t, 2, p.exit(context.Background(), err))
		}
	}
	p, out, _ := call("-h")
	require.ErrorIs(t, p.Parse(0, 0), flag.ErrHelp)
	require.Contains(t, out.String(), "example: prog x")
	require.Contains(t, out.String(), "-json")
}

func TestControlCharactersOfNamesAreShown(t *testing.T) {
	p, out, errs := call()
	require.NoError(t, p.Print("a\x1b]0;x\a\tb\nJos\xe9 ü \u202e"))
	require.Equal(t, `a\x1b]0;x\a`+"\tb\n"+`Jos\xe9 ü \u202e`+"\n", out.String())
	require.Equal(t, 2, p.exit(context.Background(), errors.New("one\x1b[2J\ntwo")))
	require.Equal(t, "prog: error: one\\x1b[2J\nprog: error: two\n", errs.String())
}

func TestVerb(t *testing.T) {
	p, _, _ := call("plan", "-json")
	verb, err := p.Verb("plan", "sync")
	require.NoError(t, err)
	require.Equal(t, "plan", verb)
	require.True(t, p.JSON)
	p, _, _ = call()
	verb, err = p.Verb("plan")
	require.NoError(t, err)
	require.Empty(t, verb)
	for _, args := range [][]string{{"dance"}, {"plan", "more"}} {
		p, _, errs := call(args...)
		_, err = p.Verb("plan")
		require.Error(t, err)
		require.Contains(t, errs.String(), "prog: error: ")
	}
}

type text struct{ s string }

func (t text) String() string { return t.s }

func TestReport(t *testing.T) {
	p, out, _ := call()
	require.NoError(t, p.Parse(0, 0))
	require.NoError(t, p.Report(map[string]int{"a": 1}, text{"one <a>"}))
	require.Equal(t, "one <a>\n", out.String())
	p, out, _ = call("-json")
	require.NoError(t, p.Parse(0, 0))
	require.NoError(t, p.Report(map[string]string{"a": "<x>"}, text{"no"}))
	var got map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, map[string]string{"a": "<x>"}, got)
	require.Contains(t, out.String(), "<x>")
}
