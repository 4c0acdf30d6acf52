package main

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
)

// editAt says which file of the new host a finding about its Dovecot is settled in: where the setting stands; else where the
// examples that Dovecot comes with have it as a comment, or keep its like, such as mail_ in 10-mail.conf; else the main file. ""
// when no file of that host is meant.
func editAt(c *dovecotconf.Config, f dovecotconf.Finding) string {
	if f.NewAt == "" || f.Advice == "" || len(c.Files) == 0 {
		return ""
	}
	if i := strings.LastIndexByte(f.NewAt, ':'); i >= 0 {
		return fmt.Sprintf("file: %s line %s, on the new host", onHost(f.NewAt[:i]), f.NewAt[i+1:])
	}
	advised, _, _ := strings.Cut(f.Advice, " =")
	for _, key := range []string{advised, path.Base(f.Setting)} {
		if strings.ContainsAny(key, " \n") || key == "." {
			continue
		}
		comment := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*` + regexp.QuoteMeta(key) + `[ \t]*=`)
		for _, file := range c.Files {
			if at := comment.FindIndex(file.Bytes()); at != nil {
				return fmt.Sprintf("file: %s, where line %d has it as a comment, on the new host", onHost(file.Name), 1+bytes.Count(file.Bytes()[:at[0]], []byte("\n")))
			}
		}
	}
	name := c.Files[0].Name
	like, _, _ := strings.Cut(path.Base(f.Setting), "_")
	for _, file := range c.Files[1:] {
		if _, kind, ok := strings.Cut(path.Base(file.Name), "-"); ok && kind == like+".conf" {
			name = file.Name
		}
	}
	return fmt.Sprintf("file: %s, on the new host", onHost(name))
}

// onHost is a path as the host itself has it.
func onHost(name string) string { return plain("/" + strings.TrimPrefix(name, "/")) }
