package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// copiers are us and the peers that copy the tree src, each into a directory of its own below target.
func (b *bench) copiers(src, target string, extra ...string) []runner {
	to := func(who string) string { return filepath.Join(target, who) }
	rsync := append([]string{"rsync", "-aHAX", "--delete", "--stats"}, extra...)
	return []runner{
		{name: us, argv: []string{b.us, "-from", src, "-to", to(us), "-state", to("state/" + us), "-delete", "-json"}, bytes: oursBytes},
		{name: "rsync -aHAX --delete", argv: append(rsync, src+"/", to("rsync")+"/"), bytes: rsyncBytes},
		{name: "cp -a", argv: []string{"cp", "-a", src + "/.", to("cp")}},
		{name: "tar|tar", needs: "tar", argv: []string{"sh", "-c", `tar -C "$1" -cf - . | tar -C "$2" -xpf -`, "sh", src, to("tar")}},
	}
}

// fresh makes the targets of copiers, empty. The earlier ones stay until the row is done: ext4 takes no inode again that was
// freed a moment ago (recently_deleted in fs/ext4/ialloc.c), and searches long for another.
func fresh(target string) error {
	err := os.Rename(target, fmt.Sprintf("%s.%d", target, time.Now().UnixNano()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, who := range []string{us, "rsync", "cp", "tar", "least", "state"} {
		if err := os.MkdirAll(filepath.Join(target, who), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) firstCopy() error {
	src, target := b.path("src"), b.path("dst")
	size := func(i int) int { return messageSizes[i*7%20] }
	if err := b.maildirs(src, b.first, b.perFolder, size); err != nil {
		return err
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		return err
	}
	dovecot, err := b.doveadm(target, size)
	if err != nil {
		return err
	}
	runners := append(b.copiers(src, target, "--whole-file"), runner{name: "least calls",
		do: func() error { return leastCalls(src, filepath.Join(target, "least")) }})
	for i := range runners {
		runners[i].before = func() error { return fresh(target) }
	}
	runners = append(runners, dovecot)
	results, err := b.race(target, nil, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("first copy, %d files", b.first)
	b.add(name, 0, runners, results)
	b.faster(name, results, "rsync -aHAX --delete", 2.5)
	b.faster(name, results, "cp -a", 1.2)
	return nil
}

// second makes the first pass of us and rsync, so that what follows is a second one.
func (b *bench) second(src, target string, extra ...string) ([]runner, error) {
	if err := fresh(target); err != nil {
		return nil, err
	}
	runners := b.copiers(src, target, extra...)[:2]
	for _, r := range runners {
		if _, err := exec.LookPath(r.argv[0]); err != nil {
			continue // race names it as absent
		}
		if err := b.once(target, r, &result{}); err != nil {
			return nil, fmt.Errorf("first pass of %s: %w", r.name, err)
		}
	}
	return runners, nil
}

func (b *bench) noChangePass() error {
	src, target := b.path("src"), b.path("dst")
	if err := b.maildirs(src, b.noChange, b.perFolder, func(int) int { return 1000 }); err != nil {
		return err
	}
	runners, err := b.second(src, target)
	if err != nil {
		return err
	}
	if err := b.comeOfAge(target, runners[0]); err != nil {
		return err
	}
	results, err := b.race(target, nil, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("no change, %d files", b.noChange)
	b.add(name, 0, runners, results)
	b.faster(name, results, "rsync -aHAX --delete", 200)
	return nil
}

// comeOfAge makes a pass a while after the first: directories that changed within two seconds of a pass cannot be trusted by the
// next.
func (b *bench) comeOfAge(target string, ours runner) error {
	if !b.meaninglessTimes {
		select {
		case <-time.After(3 * time.Second):
		case <-b.ctx.Done():
		}
	}
	return b.once(target, ours, &result{})
}

func (b *bench) markAllRead() error {
	src, target := b.path("src"), b.path("dst")
	if err := b.maildirs(src, b.markRead, b.markRead, func(int) int { return 2000 }); err != nil {
		return err
	}
	runners, err := b.second(src, target)
	if err != nil {
		return err
	}
	cur := filepath.Join(src, "home/u0000/Maildir/cur")
	results, err := b.race(target, func(int) error { return flip(cur) }, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("mark all read, %d messages", b.markRead)
	b.add(name, 0, runners, results)
	moved := results[us].bytes
	b.target(name, "no message bytes copied", thousands(moved), moved == 0)
	b.faster(name, results, "rsync -aHAX --delete", 10)
	return nil
}

// growthOfCost shows what a pass without a change costs as the store grows, and the memory of the largest.
func (b *bench) growthOfCost() error {
	peak := 0.0
	for _, n := range b.growth {
		src, target := b.path("src"), b.path("dst")
		if err := b.maildirs(src, n, b.perFolder, func(i int) int { return 200 + i%100 }); err != nil {
			return err
		}
		if err := fresh(target); err != nil {
			return err
		}
		ours := b.copiers(src, target)[:1]
		var first result
		if err := b.once(target, ours[0], &first); err != nil {
			return err
		}
		if err := b.comeOfAge(target, ours[0]); err != nil {
			return err
		}
		results, err := b.race(target, nil, ours)
		if err != nil {
			return err
		}
		b.add(fmt.Sprintf("growth: first copy, %d files", n), 0, ours, map[string]*result{us: &first})
		b.add(fmt.Sprintf("growth: no change, %d files", n), 0, ours, results)
		peak = max(first.rss, results[us].rss)
		if err := b.clear(); err != nil {
			return err
		}
	}
	last := b.growth[len(b.growth)-1]
	b.target(fmt.Sprintf("growth: memory at %d files", last), fmt.Sprintf("below %.0f MiB", b.memoryMiB),
		fmt.Sprintf("%.0f MiB", peak), peak < b.memoryMiB)
	return nil
}
