package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Report counts what a pass did, or would do. Its lists are never nil.
type Report struct {
	Files       int64 `json:"files"`        // everything but directories that was met at the source
	Dirs        int64 `json:"dirs"`         // directories met at the source
	Bytes       int64 `json:"bytes"`        // size of the regular files met; a hard-linked file counts at each name
	CopiedFiles int64 `json:"copied_files"` // objects created or replaced, directories not counted
	CopiedBytes int64 `json:"copied_bytes"` // content bytes written; holes are not written
	Metadata    int64 `json:"metadata"`     // objects of which only owner, mode, times or attributes were set
	Renamed     int64 `json:"renamed"`      // messages renamed at the target
	Linked      int64 `json:"linked"`       // hard links made
	Deleted     int64 `json:"deleted"`      // names removed at the target
	Unchanged   int64 `json:"unchanged"`    // objects that needed nothing, directories not counted
	TrustedDirs int64 `json:"trusted_dirs"` // directories taken as unchanged without listing them
	Verified    int64 `json:"verified"`     // objects that Verify compared
	Mismatched  int64 `json:"mismatched"`   // of those, the ones that differ; each is among Problems

	// Guarantees tells how the objects are known to be equal on both sides.
	Guarantees Guarantees `json:"guarantees"`

	Problems []Problem `json:"problems"`
	// Skipped is what is not copied by design: sockets, locks, staging directories of other runs, and, with the op
	// "absent", pairs that the source does not have.
	Skipped []Problem `json:"skipped"`

	// Full says why saved state was not trusted and everything was compared; empty when it was, or when there is none.
	Full []string `json:"full_compare"`
	// UnmappedUIDs and UnmappedGIDs count objects per id that a given map does not name.
	UnmappedUIDs map[uint32]int64 `json:"unmapped_uids"`
	UnmappedGIDs map[uint32]int64 `json:"unmapped_gids"`
	// OwnershipKept is false when owners could not be set for lack of root's rights. Set-id bits are then left out.
	OwnershipKept bool    `json:"ownership_kept"`
	Seconds       float64 `json:"seconds"`
}

// Guarantees counts objects, directories left out, by what was done to know them equal.
type Guarantees struct {
	// DirUnchanged: their directory was not touched on either side since the last pass, as its inode, times, owner and
	// mode tell. That does not show what changes a file in place, nor its mode, owner or attributes.
	DirUnchanged int64 `json:"dir_unchanged"`
	// StatEqual: inode, size, times, mode and owner are as at the last pass, or equal on both sides. That does not show a
	// rewrite of the same size by somebody who sets the clock back.
	StatEqual int64 `json:"stat_equal"`
	// HashEqual: all bytes were copied or compared by this pass.
	HashEqual int64 `json:"hash_equal"`
}

func newReport() *Report {
	return &Report{
		Problems: []Problem{}, Skipped: []Problem{}, Full: []string{},
		UnmappedUIDs: map[uint32]int64{}, UnmappedGIDs: map[uint32]int64{}, OwnershipKept: true,
	}
}

// tally counts one change.
func tally(op Op, bytes int64) func(*Report) {
	return func(r *Report) {
		switch op {
		case OpCreate, OpUpdate:
			r.CopiedFiles++
			r.CopiedBytes += bytes
			r.Guarantees.HashEqual++
		case OpMetadata:
			r.Metadata++
			r.Guarantees.StatEqual++
		case OpRename:
			r.Renamed++
			r.Guarantees.StatEqual++
		case OpLink:
			r.Linked++
			r.Guarantees.StatEqual++
		case OpDelete:
			r.Deleted++
		}
	}
}

// copied keeps of one walk what still counts after a second one over everything.
func (r *Report) copied() *Report {
	n := newReport()
	n.CopiedFiles, n.CopiedBytes, n.Metadata, n.Renamed, n.Linked = r.CopiedFiles, r.CopiedBytes, r.Metadata, r.Renamed, r.Linked
	n.Full = r.Full
	return n
}

// String lists how many objects are known to be equal in which way, the strongest first.
func (g Guarantees) String() string {
	var parts []string
	for _, p := range []string{
		number(g.HashEqual, "by their bytes"), number(g.StatEqual, "by size, times and inode"), number(g.DirUnchanged, "by their unchanged directory"),
	} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// problemsShown is how many problems String lists.
const problemsShown = 20

// String tells a person what was done, or would be, in a few lines, and what could not be, one line each for the first 20.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s", many(r.Files, "file"), many(r.Dirs, "directory"), size(r.Bytes))
	if did := r.did(); did != "" {
		fmt.Fprintf(&b, ": %s", did)
	}
	fmt.Fprintf(&b, " (%.1f s)", r.Seconds)
	if g := r.Guarantees.String(); g != "" {
		fmt.Fprintf(&b, "\nknown to be equal: %s", g)
	}
	if r.Verified > 0 {
		fmt.Fprintf(&b, "\ncompared %s: %s", many(r.Verified, "object"), cmp.Or(number(r.Mismatched, "differ"), "all alike"))
	}
	b.WriteString(r.skipped())
	for _, f := range r.Full {
		fmt.Fprintf(&b, "\nsaved state was not trusted, all was compared: %s", printable(f))
	}
	if len(r.UnmappedUIDs) > 0 {
		fmt.Fprintf(&b, "\nuids that keep their number, for the map does not name them: %s", ids(r.UnmappedUIDs))
	}
	if len(r.UnmappedGIDs) > 0 {
		fmt.Fprintf(&b, "\ngids that keep their number, for the map does not name them: %s", ids(r.UnmappedGIDs))
	}
	if !r.OwnershipKept {
		b.WriteString("\nowners were not kept: only root can set them")
	}
	for i, p := range r.Problems {
		if i == problemsShown {
			fmt.Fprintf(&b, "\nand %d more", len(r.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "\nproblem: %q: %s: %s", p.Path, p.Op, printable(p.Error))
	}
	return b.String()
}

// skipped says what was not copied and why that is no fault.
func (r *Report) skipped() (s string) {
	why, absent, first := map[string]int64{}, 0, ""
	for _, p := range r.Skipped {
		if p.Op != "absent" {
			why[p.Error]++
			continue
		}
		if absent++; absent == 1 {
			first = p.Path
		}
	}
	switch {
	case absent == 1:
		s = fmt.Sprintf("\nthe source has no %q: nothing to copy there", first)
	case absent > 1:
		s = fmt.Sprintf("\nthe source has no %q, nor %d more that were asked for: nothing to copy there", first, absent-1)
	}
	if len(why) > 0 {
		s += "\nskipped: " + counts(why)
	}
	return s
}

// did lists the kinds of work that occurred.
func (r *Report) did() string {
	var parts []string
	if r.CopiedFiles > 0 {
		parts = append(parts, fmt.Sprintf("%d copied (%s)", r.CopiedFiles, size(r.CopiedBytes)))
	}
	for _, p := range []string{
		number(r.Unchanged, "unchanged"), number(r.Metadata, "with new metadata"), number(r.Renamed, "renamed"),
		number(r.Linked, "linked"), number(r.Deleted, "deleted"),
	} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// number gives "" for none.
func number(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func many(n int64, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "y"):
		what = strings.TrimSuffix(what, "y") + "ies"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/(1<<10), 0
	for ; f >= 1<<10 && unit < 3; unit++ {
		f /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[unit])
}

func counts(m map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], printable(k)))
	}
	return strings.Join(parts, ", ")
}

func ids(m map[uint32]int64) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d (%s)", id, many(m[id], "object")))
	}
	return strings.Join(parts, ", ")
}

// printable keeps names that somebody chose from writing to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
