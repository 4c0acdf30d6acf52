package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/mbox"
)

// maildirFiles gives the paths of the messages by their base names.
func (h *host) maildirFiles(box string) (map[string]string, error) {
	out := map[string]string{}
	for _, sub := range []string{"new", "cur"} {
		entries, err := fs.ReadDir(h.root.FS(), path.Join(box, sub))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			base, _, _ := strings.Cut(e.Name(), ":")
			if e.Type().IsRegular() {
				out[base] = path.Join(box, sub, e.Name())
			}
		}
	}
	return out, nil
}

var (
	sizeField    = regexp.MustCompile(`,S=(\d+)`)
	virtualField = regexp.MustCompile(`,W=\d`)
)

// files looks into the files of a Maildir for what their names do not tell: X-UIDL headers, where the server uses them,
// and sizes other than the name says. With a plugin that compresses, sizes differ by design.
func (h *host) files(ctx context.Context, box string, mail *dovecotconf.Mail) error {
	reuse := h.config.Get("pop3", "pop3_reuse_xuidl").Value == "yes"
	packed := strings.Contains(h.config.Get("pop3", "mail_plugins").Value, "compress") || strings.Contains(h.config.Get("pop3", "mail_plugins").Value, "zlib")
	files, err := h.maildirFiles(box)
	if err != nil {
		return err
	}
	for i := range mail.Messages {
		m := &mail.Messages[i]
		file := files[m.Filename]
		if size := sizeField.FindStringSubmatch(m.Filename); size != nil && !packed && !virtualField.MatchString(m.Filename) {
			info, err := h.root.Lstat(file)
			if err == nil && strconv.FormatInt(info.Size(), 10) != size[1] {
				mail.BadSizes++
			}
		}
		if !reuse {
			continue
		}
		head, err := h.head(ctx, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		m.XUIDL = head.XUIDL
	}
	return nil
}

var errFirst = errors.New("the first message is all")

// head reads the header of a message file as that of an mbox with this message only.
func (h *host) head(ctx context.Context, file string) (head mbox.Message, err error) {
	f, err := h.root.Open(file)
	if err != nil {
		return head, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return head, errors.Join(err, fs.ErrNotExist)
	}
	from := []byte("From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n")
	both := joined{bytes.NewReader(from), f, int64(len(from))}
	_, err = mbox.Scan(ctx, both, both.cut+info.Size(), &mbox.Options{MD5: "apop3d"}, func(m mbox.Message) error {
		head = m
		return errFirst
	})
	if errors.Is(err, errFirst) {
		err = nil
	}
	return head, err
}

// joined reads one source after another of which the first has cut bytes.
type joined struct {
	first, second io.ReaderAt
	cut           int64
}

func (j joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < j.cut {
		n, err = j.first.ReadAt(p, off)
		if n == len(p) {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	m, err := j.second.ReadAt(p[n:], off+int64(n)-j.cut)
	return n + m, err
}
