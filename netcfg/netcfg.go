// Package netcfg edits the files that give a Linux host its name and address, plans how a new server takes over the address
// of an old one, and asks the network whether that address is free and tells it where it is then (Probe, Announce).
//
// A take-over reads and writes ifcfg files, NetworkManager keyfiles, netplan and interfaces(5). The first two are edited; the
// interface's definition or stanza in the others is written anew in its place. Whatever was understood of the old host's
// static routes and rules comes along in the words of the new host's kind of file.
//
// It promises three things. A file that is read and written back is the same to the byte, whatever was in it; an edit
// changes the bytes of the value concerned and nothing else. A file is never understood by guessing: an ifcfg file is a
// bash script, so what bash would do with it is either known for certain or declared opaque and left alone. A take-over
// copies addresses from the old host's files and from nowhere else, and never the keys that name a network card
// (HWADDR, UUID, DEVICE, NAME).
//
// It does not promise that a running network follows: it writes files and says which of the administrator's own tools
// makes them count.
//
//	old, err := netcfg.ReadHost("/mnt/old")
//	new, err := netcfg.ReadHost("/")
//	plan := netcfg.TakeOver(old, new, &netcfg.Options{Iface: "eth0"})
//	fmt.Print(plan)
//	receipt, err := plan.Apply(ctx, "/")
package netcfg

import (
	"errors"
	"fmt"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

var (
	// ErrOpaque is found in the error of an edit that would touch shell text whose effect cannot be known without
	// running it.
	ErrOpaque = errors.New("not statically decidable")
	// ErrConflict is returned by Plan.Apply while a finding of severity Fail stands.
	ErrConflict = errors.New("findings that a person must settle")
	// ErrDrift is found in the error of Apply, Verify and Revert when a file is neither as it was planned nor as wanted.
	ErrDrift = atomicfile.ErrDrift
)

// Severity says what a finding means for the work at hand.
type Severity string

// Fail forbids Apply, Warn wants a look before it, Info is worth knowing.
const (
	Fail Severity = "fail"
	Warn Severity = "warn"
	Info Severity = "info"
)

// Finding is one thing that a person should know. Rule is stable once published; Detail starts with "path:line: "
// where the finding has a place; Advice says what to do and may be empty.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Detail   string   `json:"detail"`
	Advice   string   `json:"advice"`
}

// String gives one line for people: severity, rule, detail and advice.
func (f Finding) String() string {
	s := fmt.Sprintf("%s %s: %s", f.Severity, f.Rule, f.Detail)
	if f.Advice != "" {
		s += "; " + f.Advice
	}
	return s
}

// ParseError is a line that its reader ignores or that cannot be understood. Line counts from 1.
type ParseError struct {
	File string
	Line int
	Err  error
}

// Error prints "etc/hosts:3: cause".
func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap gives the cause.
func (e *ParseError) Unwrap() error { return e.Err }

func at(file string, line int) string { return fmt.Sprintf("%s:%d: ", file, line) }
