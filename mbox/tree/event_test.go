package tree

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEvent(t *testing.T) {
	e := Event{Path: "home/a\nb", Files: 250, Bytes: 5 << 20, Expected: 1000, Elapsed: 10 * time.Second}
	require.InDelta(t, 512<<10, e.Rate(), 1)
	require.Equal(t, 30*time.Second, e.Left())
	require.Equal(t, `250 of 1000 objects, 5.0 MiB copied at 512.0 KiB/s, 30s left; "home/a\nb"`, e.String())
	for _, e := range []Event{{}, {Files: 3}, {Expected: 3}, {Files: 3, Expected: 3, Elapsed: time.Second}, {Files: 4, Expected: 3}} {
		require.Zero(t, e.Left(), "%+v", e)
		require.NotContains(t, e.String(), "left")
	}
}
