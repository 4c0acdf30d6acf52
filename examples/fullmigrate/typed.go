package main

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/run"
)

// fileTyped keeps how a migration was asked for last, so that status can say what to type next.
const fileTyped = "typed.json"

// typed is a command line without its verb.
type typed struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Run     string   `json:"run"`     // "": where it is found without -run
	People  []string `json:"people"`  // flags that say who moves
	Cutover []string `json:"cutover"` // flags of a cutover alone
	Plain   bool     `json:"plain"`
}

func (m *migration) typed() typed {
	t := typed{From: m.src, To: absolute(m.to), People: m.people(), Cutover: m.chosen()[len(m.people()):], Plain: m.plain}
	if _, dir, remote := hostcmd.Destination(m.src); !remote {
		t.From = absolute(dir)
	}
	if m.runGiven {
		t.Run = absolute(m.runDir)
	}
	if m.dns != "" {
		t.Cutover = append(t.Cutover, "-dns", m.dns)
	}
	return t
}

// absolute is a path that does not depend on where one is.
func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil && name != "" {
		return abs
	}
	return name
}

// command is what a person types; a way back goes by what the cutover wrote down.
func (t typed) command(verb string) string {
	args := []string{"fullmigrate", verb}
	for _, f := range [][2]string{{"-from", t.From}, {"-to", t.To}, {"-run", t.Run}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if t.Plain {
		args = append(args, "-plain")
	}
	if verb != "rollback" {
		args = append(args, t.People...)
	}
	if verb == "cutover" || verb == "plan" {
		args = append(args, t.Cutover...)
	}
	return hostcmd.Quote(args...)
}

// keepTyped writes the command line down. A sync, which needs no flags of a cutover, leaves those of an earlier one.
func (m *migration) keepTyped(ctx context.Context, dir *run.Dir) error {
	t := m.typed()
	if len(t.Cutover) == 0 {
		t.Cutover = typedIn(dir).Cutover
	}
	return dir.Save(ctx, fileTyped, t)
}

// typedIn reads it; a run of an earlier version has none.
func typedIn(dir *run.Dir) (t typed) {
	_ = dir.Load(fileTyped, &t)
	return t
}

// runsDir is below the new host's root.
const runsDir = "var/lib/mailmove"

// otherRuns lists further migrations to this new host, as they are named: one and the same host may be called otherwise now.
func (m *migration) otherRuns() (all []string) {
	entries, _ := os.ReadDir(filepath.Join(m.to, runsDir))
	for _, e := range entries {
		at := filepath.Join(m.to, runsDir, e.Name())
		if !e.IsDir() || e.Name() == path.Base(copies) || absolute(at) == absolute(m.runDir) {
			continue
		}
		dir, err := run.View(at)
		if err != nil {
			continue // it could not be gone on with either
		}
		name := "-run " + hostcmd.Quote(absolute(at))
		if from := typedIn(dir).From; from != "" {
			name += " (" + from + ")"
		}
		all = append(all, name)
		dir.Close()
	}
	return all
}

// noSync is the error of a cutover that nothing was copied for.
func (m *migration) noSync() error {
	hint := "run fullmigrate sync, as often as you like, and then cutover"
	if others := m.otherRuns(); len(others) > 0 {
		hint += "; or, where the old host is one that had another name in an earlier -from, add " + strings.Join(others, " or ")
	}
	return &cli.Hinted{Err: errors.New("no sync has ended yet: the first copy takes its time and is not made while the service stands still"), Hint: hint}
}

// warnOthers tells, when a migration begins, of others that it could be meant to go on with.
func (m *migration) warnOthers() {
	if _, err := os.Lstat(m.runDir); err == nil {
		return
	}
	if others := m.otherRuns(); len(others) > 0 {
		m.c.Warn("a new migration begins; to go on with an earlier one of the same old host, add %s", strings.Join(others, " or "))
	}
}
