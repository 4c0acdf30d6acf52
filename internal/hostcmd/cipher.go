package hostcmd

import (
	"context"
	"os/exec"
	"strings"

	"golang.org/x/sys/cpu"
)

// aes tells whether this machine has instructions for it.
var aes = cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL

// ciphers gives the options that put AES-GCM first among the ciphers that the administrator's configuration allows for a
// destination; none where that makes no difference. OpenSSH begins with ChaCha20-Poly1305, on which both ends of a copy spent a
// tenth of all their time.
func ciphers(ctx context.Context, dest string) []string {
	if !aes {
		return nil
	}
	cmd := exec.CommandContext(ctx, "ssh", "-G", "--", dest)
	apart(cmd)
	out, err := cmd.Output()
	if err != nil {
		return nil // before OpenSSH 6.8; or it is told when the connection is made
	}
	for l := range strings.Lines(string(out)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(l), "ciphers "); ok {
			if better := gcmFirst(list); better != list {
				return []string{"-o", "Ciphers=" + better}
			}
			break
		}
	}
	return nil
}

// gcmFirst changes nothing but the order.
func gcmFirst(list string) string {
	var first, rest []string
	for c := range strings.SplitSeq(list, ",") {
		if strings.Contains(c, "-gcm") {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	return strings.Join(append(first, rest...), ",")
}
