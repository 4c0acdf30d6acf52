package surroundings

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// certificates compares what Dovecot and the mail transfer agents of both hosts show to clients. Of keys only their being
// there is looked at.
func (f *finder) certificates() {
	f.service("Dovecot", f.Certificates, f.Present)
	f.service("the mail transfer agent", f.tlsFiles(0), f.tlsFiles(1))
}

// tlsFiles are those that the configuration of a host's mail transfer agent names.
func (f *finder) tlsFiles(i int) (all []File) {
	h, m := []*host{f.old, f.new}[i], f.postfix[i]
	switch f.mta[i] {
	case postfix:
		for _, key := range slices.Sorted(maps.Keys(m.values)) {
			v := m.values[key]
			if v.line == 0 || !strings.HasPrefix(key, "smtp") || !strings.Contains(key, "_tls_") || !strings.HasSuffix(key, "_file") && !strings.HasSuffix(key, "_files") {
				continue
			}
			for _, w := range m.words(key) {
				if strings.HasPrefix(w, "/") {
					all = append(all, File{key, w, v.at()})
				}
			}
		}
	case sendmail:
		n := 0
		for line := range strings.Lines(string(h.read("etc/mail/sendmail.cf"))) {
			n++
			key, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "O ")), "=")
			if ok && strings.HasPrefix(line, "O ") && slices.Contains([]string{"ServerCertFile", "ServerKeyFile", "CACertFile"}, key) && strings.HasPrefix(value, "/") {
				all = append(all, File{key, value, at("etc/mail/sendmail.cf", n)})
			}
		}
	}
	return all
}

func isKey(x File) bool {
	s := strings.ToLower(x.Setting)
	return strings.Contains(s, "key")
}

func isCertificate(x File) bool {
	s := strings.ToLower(x.Setting)
	return (strings.Contains(s, "cert") || strings.Contains(s, "chain_files")) && !isKey(x) && !strings.Contains(s, "ca") && !strings.HasPrefix(s, "smtp_")
}

// service compares the files of one.
func (f *finder) service(who string, old, new []File) {
	for _, x := range new {
		if !f.new.file(x.Path) {
			f.add(Finding{Rule: "CERTIFICATE", Severity: Loss, Name: clean(x.Setting), At: clean(x.At), Detail: who + " of the new host is to use " + clean(x.Path) + ", which is not there: TLS would fail",
				Advice: "put it there, or correct the setting"})
		}
	}
	shown := f.first(f.new, new)
	var missing []string
	for _, x := range old {
		was := parseCertificate(f.old.read(x.Path))
		switch {
		case isCertificate(x) && shown != nil && was != nil:
			f.compareCertificates(who, x, was, shown)
		case shown != nil || f.new.file(x.Path):
		case !slices.Contains(missing, x.Path):
			missing = append(missing, x.Path)
		}
	}
	if len(missing) > 0 {
		var words []string
		for _, p := range missing {
			words = append(words, hostcmd.Quote(clean(p)))
		}
		f.add(Finding{Rule: "CERTIFICATE", Severity: Degraded, Name: who, At: clean(old[0].At), Detail: who + " of the old host shows a certificate; the new one has none set and lacks " + some(words),
			Advice: "copy with owner and mode (keys 0600), and name them in the new configuration: " + strings.Join(words, " ")})
	}
}

// first is the first certificate that can be read.
func (f *finder) first(h *host, files []File) *x509.Certificate {
	for _, x := range files {
		if isCertificate(x) {
			if c := parseCertificate(h.read(x.Path)); c != nil {
				return c
			}
		}
	}
	return nil
}

func parseCertificate(src []byte) *x509.Certificate {
	for len(src) > 0 {
		var b *pem.Block
		if b, src = pem.Decode(src); b == nil {
			return nil
		}
		if b.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil
			}
			return c
		}
	}
	return nil
}

// compareCertificates tells what clients that know the old host's certificate say to the new one's.
func (f *finder) compareCertificates(who string, x File, was, now *x509.Certificate) {
	if bytes.Equal(was.Raw, now.Raw) {
		return
	}
	today := f.Now
	if today.IsZero() {
		today = time.Now()
	}
	var lost []string
	for _, name := range names(was) {
		if !slices.Contains(names(now), name) && now.VerifyHostname(name) != nil {
			lost = append(lost, clean(name))
		}
	}
	y := Finding{Rule: "CERTIFICATE", Severity: Degraded, Name: clean(x.Setting), At: clean(x.At),
		Advice: "copy " + clean(x.Path) + " and its key to the new host, or get a certificate there for all names that clients use"}
	switch {
	case now.NotAfter.Before(today):
		y.Detail = fmt.Sprintf("the certificate of %s on the new host expired on %s", who, now.NotAfter.Format(time.DateOnly))
	case len(lost) > 0:
		y.Detail = "the certificate of " + who + " on the new host is not for " + some(lost) + ": clients would warn"
	case bytes.Equal(was.RawIssuer, was.RawSubject):
		y.Detail = "the certificate of " + who + " on the old host is its own issuer; clients that were told to trust it will ask again"
	default:
		y.Severity, y.Detail, y.Advice = Info, "another certificate of "+who+", for the same names", ""
	}
	f.add(y)
}

// names are those that a certificate is for; old ones have theirs in the subject only.
func names(c *x509.Certificate) []string {
	if len(c.DNSNames) == 0 && strings.Contains(c.Subject.CommonName, ".") {
		return []string{c.Subject.CommonName}
	}
	return c.DNSNames
}
