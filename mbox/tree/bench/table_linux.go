package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// us is the runner that the targets speak of.
const us = "mailmove"

// row is one line of the table: a program with what it took, or a target with what came of it.
type row struct {
	race, who                             string
	absent                                bool
	median, lo, hi, rss, moved, ratio, of float64
	target, got                           string
	met                                   bool
}

func median(s []float64) float64 {
	s = slices.Sorted(slices.Values(s))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// add makes the rows of a race; of is the bytes that each program worked through, 0 when that says nothing.
func (b *bench) add(race string, of float64, runners []runner, results map[string]*result) {
	for _, r := range runners {
		res := results[r.name]
		line := row{race: race, who: r.name, absent: res.absent, of: of, rss: res.rss, moved: res.bytes}
		if !res.absent {
			line.median, line.lo, line.hi = median(res.seconds), slices.Min(res.seconds), slices.Max(res.seconds)
			line.ratio = against(res, results[us])
		}
		b.rows = append(b.rows, line)
	}
}

// target says what a race should show, and what it showed.
func (b *bench) target(race, want, got string, met bool) {
	b.rows = append(b.rows, row{race: race, target: want, got: got, met: met})
}

// faster is the target that we are at least times as fast as peer.
func (b *bench) faster(race string, results map[string]*result, peer string, times float64) {
	b.fasterThan(race, us, results, peer, times)
}

// fasterThan is the same for another program of ours.
func (b *bench) fasterThan(race, who string, results map[string]*result, peer string, times float64) {
	want := fmt.Sprintf("%s at least %gx as fast as %s", who, times, peer)
	res := results[peer]
	if res == nil || res.absent {
		b.target(race, want, peer+" is absent", false)
		return
	}
	ratio := against(res, results[who])
	b.target(race, want, fmt.Sprintf("%.2fx", ratio), ratio >= times)
}

// against is the median of how many times as long one took in a round as the other: a machine that is slower in one round is so for
// both.
func against(res, other *result) float64 {
	ratios := make([]float64, len(res.seconds))
	for i := range ratios {
		ratios[i] = res.seconds[i] / other.seconds[i]
	}
	return median(ratios)
}

func (b *bench) print() {
	fmt.Fprintf(b.out, "%s, %s/%s, %d processors, %d rounds; seconds are medians (least to most), one syncfs included; ratios are medians of those in a round\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.rounds)
	if b.meaninglessTimes {
		fmt.Fprintln(b.out, "quick: the corpora are too small for the times and the verdicts to mean anything")
	}
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\tprogram\tseconds\t(spread)\tvs mailmove\tpeak MiB\tbytes moved\tGB/s")
	for _, r := range b.rows {
		switch {
		case r.target != "":
			verdict := "MISSED"
			if r.met {
				verdict = "met"
			}
			fmt.Fprintf(w, "%s\t  %s: %s: %s\n", r.race, r.target, r.got, verdict)
		case r.absent:
			fmt.Fprintf(w, "%s\t%s\tabsent\n", r.race, r.who)
		default:
			fmt.Fprintf(w, "%s\t%s\t%.4f\t(%.4f to %.4f)\t%.2fx\t%.0f\t%s\t%s\n", r.race, r.who, r.median, r.lo, r.hi,
				r.ratio, r.rss, thousands(r.moved), rate(r.of, r.median))
		}
	}
	w.Flush()
}

func rate(bytes, seconds float64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", bytes/seconds/1e9)
}

// thousands groups the digits of n; "-" is an unknown number.
func thousands(n float64) string {
	if n < 0 {
		return "-"
	}
	s := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
