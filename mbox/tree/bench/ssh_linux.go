package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sshd starts one on loopback with keys of its own, on some processors or nil for all, and puts an ssh that leads to it before the
// others in PATH. HOME is an empty directory there: what the login shell of this machine does first is not what is measured.
func (b *bench) sshd(on []int) (dest string, stop func(), err error) {
	program, err := exec.LookPath("sshd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			return "", nil, err
		}
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return "", nil, err
	}
	dir := b.path("sshd")
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o700); err != nil {
		return "", nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "user"} {
		if out, err := exec.CommandContext(b.ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", in(key)).CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("ssh-keygen: %w: %s", err, tail(string(out)))
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	host, err1 := os.ReadFile(in("host.pub"))
	me, err2 := user.Current()
	err = errors.Join(err1, err2, os.MkdirAll("/run/sshd", 0o755),
		write(in("sshd_config"), fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPidFile none\nSetEnv HOME=%s\n", port, in("host"), in("user.pub"), dir), 0o600),
		write(in("known_hosts"), "old.test "+string(host), 0o600),
		write(in("ssh_config"), fmt.Sprintf("Host old.test\nHostName 127.0.0.1\nPort %d\nHostKeyAlias old.test\nIdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\n", port, in("user"), in("known_hosts")), 0o600),
		write(in("bin/ssh"), "#!/bin/sh\nexec "+ssh+" -F "+in("ssh_config")+" \"$@\"\n", 0o700))
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(b.ctx, program, "-D", "-e", "-f", in("sshd_config"))
	if err := startOn(on, cmd); err != nil {
		return "", nil, err
	}
	path := os.Getenv("PATH")
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Setenv("PATH", path)
	}
	if err := os.Setenv("PATH", in("bin")+":"+path); err != nil {
		stop()
		return "", nil, err
	}
	dest = me.Username + "@old.test"
	for range 100 {
		if err = exec.CommandContext(b.ctx, "ssh", "-o", "BatchMode=yes", dest, "true").Run(); err == nil || b.ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("ssh to our sshd: %w", err)
	}
	return dest, stop, nil
}

func write(name, text string, mode os.FileMode) error { return os.WriteFile(name, []byte(text), mode) }

const usPlain, rsyncSSH = us + " -plain", "rsync -aHAX -e ssh"

// farCopiers are us and rsync, which copy the tree src of another host.
func (b *bench) farCopiers(dest, src, target string) []runner {
	to := func(who string) string { return filepath.Join(target, who) }
	ours := func(name, dir string, more ...string) runner {
		argv := append([]string{b.us, "-from", dest + ":" + src, "-to", to(dir), "-state", to("state/" + dir), "-delete", "-json"}, more...)
		return runner{name: name, argv: argv, bytes: oursBytes}
	}
	return []runner{
		ours(us, us), ours(usPlain, "tar", "-plain"),
		{name: rsyncSSH, argv: []string{"rsync", "-aHAX", "--delete", "--stats", "-e", "ssh", dest + ":" + src + "/", to("rsync") + "/"}, bytes: rsyncBytes},
	}
}

// farFirstCopy races the first copy through ssh, with both hosts' programs on all processors.
func (b *bench) farFirstCopy() error { return b.farFirst("ssh: first copy", nil, nil) }

// farFirstCopyApart gives each host one processor: two machines share none.
func (b *bench) farFirstCopyApart() error {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil || may.Count() < 2 {
		return err
	}
	var two []int
	for n := 0; len(two) < 2; n++ {
		if may.IsSet(n) {
			two = append(two, n)
		}
	}
	return b.farFirst("ssh: first copy, a processor each", two[:1], two[1:])
}

// farFirst has the old host's programs, and those of the new one, on some processors; nil for all.
func (b *bench) farFirst(name string, old, here []int) error {
	dest, stop, err := b.sshd(old)
	if err != nil {
		return err
	}
	defer stop()
	src, target := b.path("src"), b.path("dst")
	if err := b.maildirs(src, b.first, b.perFolder, func(i int) int { return messageSizes[i*7%20] }); err != nil {
		return err
	}
	runners := b.farCopiers(dest, src, target)
	for i := range runners {
		runners[i].before, runners[i].on = func() error { return fresh(target) }, here
	}
	if err := fresh(target); err != nil {
		return err
	}
	results, err := b.race(target, nil, runners)
	if err != nil {
		return err
	}
	name = fmt.Sprintf("%s, %d files", name, b.first)
	b.add(name, 0, runners, results)
	b.faster(name, results, rsyncSSH, 1.4)
	b.fasterThan(name, usPlain, results, rsyncSSH, 1.4)
	return nil
}

// copied makes copies by cp: the first copy through ssh is another row.
func (b *bench) copied(src, target string, whose ...string) error {
	if err := fresh(target); err != nil {
		return err
	}
	for _, who := range whose {
		if out, err := exec.CommandContext(b.ctx, "cp", "-a", src+"/.", filepath.Join(target, who)).CombinedOutput(); err != nil {
			return fmt.Errorf("cp: %w: %s", err, tail(string(out)))
		}
	}
	return nil
}

// farNoChange races a pass without a change through ssh.
func (b *bench) farNoChange() error {
	dest, stop, err := b.sshd(nil)
	if err != nil {
		return err
	}
	defer stop()
	src, target := b.path("src"), b.path("dst")
	if err := b.maildirs(src, b.noChange, b.perFolder, func(int) int { return 1000 }); err != nil {
		return err
	}
	runners := b.farCopiers(dest, src, target)
	if err := b.copied(src, target, us, "tar", "rsync"); err != nil {
		return err
	}
	for _, r := range append(runners, runners[:2]...) { // twice for us: what was new is known to stand still then
		if err := b.once(target, r, &result{}); err != nil {
			return fmt.Errorf("first pass of %s: %w", r.name, err)
		}
	}
	results, err := b.race(target, nil, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("ssh: no change, %d files", b.noChange)
	b.add(name, 0, runners, results)
	b.faster(name, results, rsyncSSH, 2)
	b.fasterThan(name, usPlain, results, rsyncSSH, 2)
	return nil
}
