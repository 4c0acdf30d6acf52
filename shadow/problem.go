package shadow

import (
	"fmt"
	"strconv"
	"strings"
)

// Severity of a Problem.
type Severity string

// Error: somebody cannot log in or a tool refuses the file. Warning: libc and other tools differ, or something is lost
// later. Info: worth knowing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Problem is one thing that is wrong with a file. It quotes nothing of a line but the name of its owner, since a
// damaged line may have the hash anywhere. Kinds: nul, crlf, field-count, number, number-form, svr-form, flag-missing,
// no-name, control, too-long, leading-space, duplicate-name, nis, no-newline, empty-password.
type Problem struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name"` // of the user or group, when the line can be read
	Detail   string   `json:"detail"`
	File     string   `json:"file"`
	Line     int      `json:"line"` // from 1
}

// At gives the position as "etc/shadow:12".
func (p Problem) At() string { return p.File + ":" + strconv.Itoa(p.Line) }

// String prints position, severity, name and detail.
func (p Problem) String() string {
	if p.Name == "" {
		return fmt.Sprintf("%s: %s: %s", p.At(), p.Severity, p.Detail)
	}
	return fmt.Sprintf("%s: %s: %s: %s", p.At(), p.Severity, p.Name, p.Detail)
}

// Finding is a conflict or a warning of a Plan.
type Finding struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
	At     string `json:"at"` // "etc/shadow:12", or the path alone, or ""
}

// String prints position, name and detail.
func (f Finding) String() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{f.At, f.Name, f.Detail} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// show gives a name as it may be printed. What stands where a name should may be part of a hash, so whatever has the
// characters of one is not shown.
func show(name string) string {
	bare := strings.TrimSuffix(name, "$")
	if len(name) > 64 || strings.ContainsAny(bare, "$/!*") {
		return "(unprintable name)"
	}
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] == 0x7f {
			return "(unprintable name)"
		}
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}
