// Package scripts is what the script tests of the examples share: a way to run a program that holds each run to the
// command-line contract, snapshots of file trees, and a look into JSON. It is for tests only.
//
// A script runs a program by
//
//	run CODE NAME ARGS...
//
// which wants exactly that exit code and checks, for every run: stderr has lines "NAME: error: ...", "NAME: warning: ..."
// or "NAME: hint: ..." only, errors with code 2 and never else; with -json and code 0 or 1 stdout is one JSON object with
// snake_case keys and no null list; and nothing that stands for a secret (Canary) is printed.
//
//	snap TREE...             remembers names, files (inode), modes, sizes, times and contents
//	same TREE...             nothing of that has changed since
//	changed TREE [+-~]PATH...  exactly these paths came (+), went (-) or have another content or mode (~)
//	json FILE PATH [VALUE]   the value at PATH, such as users.0.to_uid or users.name=anna.action; a VALUE "~re" is matched,
//	                         a last element "len" counts. Without VALUE: there is one; with "!": there is none
//	keys FILE PATH KEY...    the object at PATH, or each of a list, has exactly these keys, "KEY?" or not
//	edit FILE OLD NEW        replaces every OLD; both are Go strings without their quotes
//
// FILE may be stdout.
package scripts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Canary stands in the hashes of all scripts, and in no output.
const Canary = "CANARY"

// Params are for the scripts in dir. Each begins with a copy of what is in dir/hosts, if that exists. A caller may add to
// them.
func Params(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Values[treesKey{}] = map[string]tree{}
			hosts := filepath.Join(dir, "hosts")
			if _, err := os.Stat(hosts); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return os.CopyFS(e.WorkDir, os.DirFS(hosts))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": run, "snap": snap, "same": same, "changed": changed, "json": inJSON, "keys": keys, "edit": edit,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		RequireUniqueNames: true,
	}
}

func run(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run CODE NAME ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	name, code := args[1], 0
	var exit *exec.ExitError
	switch err := ts.Exec(name, args[2:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if strings.Contains(stdout+stderr, Canary) {
		ts.Fatalf("a secret was printed")
	}
	ts.Check(checkStderr(name, code, stderr))
	if slices.Contains(args, "-json") && code != 2 {
		_, err := decode(stdout)
		ts.Check(err)
	}
}

var message = regexp.MustCompile(`^(error|warning|hint): (.*[^.\s])$`)

// sentence begins with a capital letter that is not that of an abbreviation.
var sentence = regexp.MustCompile(`^[A-Z][^A-Z]`)

// checkStderr holds messages to their form. An error may have further lines, as joined errors do.
func checkStderr(name string, code int, stderr string) error {
	failed := false
	for line := range strings.Lines(stderr) {
		text, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+": ")
		m := message.FindStringSubmatch(text)
		switch {
		case !ours && failed && code == 2:
			continue
		case !ours || m == nil:
			return fmt.Errorf("stderr has a line %q: want %s: error, warning or hint, without a full stop", line, name)
		case m[1] == "error":
			failed = true
			if sentence.MatchString(m[2]) {
				return fmt.Errorf("the error %q is not in lower case", m[2])
			}
		}
	}
	if failed != (code == 2 || code == 130) {
		return fmt.Errorf("exit code %d with an error on stderr: %t", code, failed)
	}
	return nil
}

var snakeCase = regexp.MustCompile(`^[a-z0-9_]+$`)

// decode reads one JSON object and checks its form.
func decode(text string) (any, error) {
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	if d.More() || strings.TrimSpace(text[d.InputOffset():]) != "" {
		return nil, errors.New("more than one JSON object")
	}
	return v, form("", v)
}

// form checks keys and lists. The keys of settings and configs are names of others, and of a file that does not exist
// takeip's "before" is null.
func form(at string, v any) error {
	switch v := v.(type) {
	case nil:
		if !strings.HasSuffix(at, ".before") {
			return fmt.Errorf("JSON: %s is null", at)
		}
	case []any:
		for i, e := range v {
			if err := form(fmt.Sprintf("%s.%d", at, i), e); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if at != ".settings" && at != ".configs" && !snakeCase.MatchString(k) {
				return fmt.Errorf("JSON: key %s.%s is not in snake_case", at, k)
			}
			if err := form(at+"."+k, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// at goes down a path.
func at(v any, path string) (any, bool) {
	if path == "." {
		return v, true
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[step]; !ok && step == "len" {
				v = json.Number(strconv.Itoa(len(x)))
			} else if !ok {
				return nil, false
			}
		case []any:
			e, ok := element(x, step)
			if !ok {
				return nil, false
			}
			v = e
		default:
			return nil, false
		}
	}
	return v, true
}

func element(list []any, step string) (any, bool) {
	if step == "len" {
		return json.Number(strconv.Itoa(len(list))), true
	}
	if key, value, ok := strings.Cut(step, "="); ok {
		for _, e := range list {
			if m, ok := e.(map[string]any); ok && show(m[key]) == value {
				return e, true
			}
		}
		return nil, false
	}
	i, err := strconv.Atoi(step)
	if err != nil || i < 0 || i >= len(list) {
		return nil, false
	}
	return list[i], true
}

// show is a string as it is, all else as JSON.
func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func inJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: json FILE PATH [VALUE]")
	}
	v, err := decode(ts.ReadFile(args[0]))
	ts.Check(err)
	v, ok := at(v, args[1])
	switch {
	case len(args) == 3 && args[2] == "!":
		if ok {
			ts.Fatalf("%s is %s, want none", args[1], show(v))
		}
	case !ok:
		ts.Fatalf("no %s", args[1])
	case len(args) == 3 && strings.HasPrefix(args[2], "~"):
		re, err := regexp.Compile(args[2][1:])
		ts.Check(err)
		if !re.MatchString(show(v)) {
			ts.Fatalf("%s is %s, want a match of %s", args[1], show(v), re)
		}
	case len(args) == 3 && show(v) != args[2]:
		ts.Fatalf("%s is %s, want %s", args[1], show(v), args[2])
	}
}

func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: keys FILE PATH KEY...")
	}
	v, err := decode(ts.ReadFile(args[0]))
	ts.Check(err)
	v, ok := at(v, args[1])
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if !ok || len(list) == 0 {
		ts.Fatalf("no object at %s", args[1])
	}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			ts.Fatalf("%s is %s, want an object", args[1], show(e))
		}
		rest := maps.Clone(m)
		for _, arg := range args[2:] {
			key, optional := strings.CutSuffix(arg, "?")
			if _, ok := rest[key]; !ok && !optional {
				ts.Fatalf("%s has no key %s: %s", args[1], key, show(e))
			}
			delete(rest, key)
		}
		if len(rest) > 0 {
			ts.Fatalf("%s has further keys: %s", args[1], show(rest))
		}
	}
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	old, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	now, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, old) {
		ts.Fatalf("%s has no %q", args[0], old)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, old, now)), 0o600))
}
