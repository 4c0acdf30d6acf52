package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// doveadmScript copies the Maildirs of all homes in $1 into $2, home by home as doveadm does; $3 is the configuration. What Dovecot
// itself knows of the source is kept beside the copy, so that the source stays as it is.
const doveadmScript = `for home in "$1"/home/*; do
	u=${home##*/}
	USER=$u doveadm -c "$3" -o mail_location="maildir:$home/Maildir:INDEX=$2/known/$u:CONTROL=$2/known/$u" backup maildir:"$2/$u" || exit
done`

// doveadm is Dovecot's own copier, of version 2.3. It works as the owner of the mail, who cannot be root, so that it gets the same
// mail once more, as nobody's. Where it does not run, or nobody cannot come to -dir, it is absent.
func (b *bench) doveadm(target string, size func(i int) int) (runner, error) {
	r := runner{name: "doveadm backup"}
	if out, err := exec.CommandContext(b.ctx, "dovecot", "--version").Output(); err != nil || !strings.HasPrefix(string(out), "2.3.") {
		r.argv = []string{"doveadm of 2.3"}
		return r, nil
	}
	own, conf, to := b.path("own"), b.path("doveadm.conf"), filepath.Join(target, "doveadm")
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
	}
	text := fmt.Sprintf("base_dir = %s/run\nlog_path = /dev/stderr\nssl = no\nmail_uid = %d\nmail_gid = %[2]d\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"+
		"mail_home = %[3]s/known/%%u\nmail_fsync = never\n", b.dir, uid, to)
	if err := errors.Join(b.maildirs(own, b.first, b.perFolder, size), owned(own, uid), os.WriteFile(conf, []byte(text), 0o644), os.Chmod(b.dir, 0o711)); err != nil {
		return r, err
	}
	way := exec.CommandContext(b.ctx, "test", "-w", own)
	if uid != os.Geteuid() {
		way.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if way.Run() != nil {
		r.argv = []string{"a way to -dir for nobody"}
		return r, nil
	}
	r.argv = []string{"sh", "-c", doveadmScript, "sh", own, to, conf}
	r.before = func() error {
		return errors.Join(fresh(target), os.MkdirAll(filepath.Join(to, "known"), 0o700), owned(to, uid), os.Chmod(target, 0o711))
	}
	return r, nil
}

// owned gives all that is at and below a directory to uid.
func owned(dir string, uid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
}
