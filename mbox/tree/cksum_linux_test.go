package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The sum is that of cksum(1).
func TestCksum(t *testing.T) {
	program, err := exec.LookPath("cksum")
	if err != nil {
		t.Skip("no cksum")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 7, 8, 9, 255, 256, 4095, 4097, 70000} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		c := newCksum()
		c.Write(b[:n/3])
		c.Write(b[n/3:])
		cmd := exec.Command(program)
		cmd.Stdin = bytes.NewReader(b)
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, string(out), fmt.Sprintf("%d %d\n", c.sum(), n))
	}
}
