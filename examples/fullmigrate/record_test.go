package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/run"
)

// TestTiming reads the outage from journals: "seconds step state", one line each.
func TestTiming(t *testing.T) {
	for name, c := range map[string]struct {
		journal string
		clients float64 // seconds; 0: there is none
		all     float64
	}{
		"none":                     {"", 0, 0},
		"not yet":                  {"1 cutover begun;2 stop old begun;3 stop old done", 0, 0},
		"done":                     {"1 cutover begun;2 stop old begun;3 stop old done;4 switch begun;4 answers mail clients done;5 answers begun;5 answers done;9 switch done;10 cutover done", 2, 3},
		"transfer stops first":     {"1 cutover begun;2 stop old transfer begun;4 stop old begun;5 stop old done;7 answers mail clients begun;9 answers mail clients done;9 answers begun;11 answers done", 3, 7},
		"no port to ask":           {"1 cutover begun;2 stop old begun;4 switch begun;9 switch done;10 cutover done", 0, 7},
		"killed and resumed":       {"1 cutover begun;2 stop old begun;8 cutover begun;9 stop old begun;11 answers mail clients done;12 answers done;13 switch done", 9, 10},
		"killed while it answered": {"1 cutover begun;2 stop old begun;4 answers mail clients done;5 answers done;8 cutover begun;9 answers mail clients done;12 answers done;13 switch done", 2, 3},
		"rolled back":              {"1 cutover begun;2 stop old begun;5 answers done;6 switch done;7 cutover done;8 rollback begun;9 cutover undone;9 rollback done", 0, 0},
		"there again":              {"1 cutover begun;2 stop old begun;3 answers mail clients done;5 answers done;9 cutover undone;20 cutover begun;21 stop old begun;22 answers done", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var history []run.Entry
			for line := range strings.SplitSeq(c.journal, ";") {
				if w := strings.Fields(line); len(w) > 2 {
					s, err := time.ParseDuration(w[0] + "s")
					require.NoError(t, err)
					history = append(history, run.Entry{Time: time.Unix(0, 0).Add(s), Step: strings.Join(w[1:len(w)-1], " "), State: run.State(w[len(w)-1])})
				}
			}
			o := outageOf(history)
			require.Equal(t, []float64{c.clients, c.all}, []float64{o.forClients(), o.forAll()})
		})
	}
}
