package dovecotconf

import (
	"fmt"
	"strings"
)

// refusals: what makes the new server refuse its configuration, and dumps of the old one that may lack something.
func (c *comparison) refusals() {
	for _, p := range c.new.Problems() {
		if p.Fatal && !strings.Contains(p.Message, uidlKey) {
			c.refused(p)
		}
		if strings.Contains(p.Message, "continued with a backslash") {
			c.r.Findings = append(c.r.Findings, Finding{Rule: "C01", Severity: Loss, NewAt: p.At,
				Effect: p.Message + " in " + c.new.Version + ", and with it what it sets", Advice: "write the setting in one line"})
		}
	}
	for _, p := range c.old.Problems() {
		switch {
		case p.Fatal && c.old.Dump:
			c.r.Findings = append(c.r.Findings, Finding{Rule: "C04", Severity: Info, OldAt: p.At,
				Effect: "the dump of the old server ends with an error and may lack settings: " + p.Message, Advice: "compare with the file itself"})
		case strings.Contains(p.Message, "continued with a backslash"):
			c.r.Findings = append(c.r.Findings, Finding{Rule: "C01", Severity: Info, OldAt: p.At,
				Effect: p.Message + " in " + c.old.Version + "; other versions read it otherwise", Advice: "do not copy the line: it was not in force"})
		}
	}
	if c.old.Dump && c.old.v.before(v20) && !strings.Contains(c.old.Get("", "protocols").Value, "pop3") {
		c.add("C04", Info, "protocols", "protocols", "a dump of 1.x without pop3 in protocols does not show what protocol pop3 sets", "compare with the file itself")
	}
}

const refusal = "Dovecot does not start: "

// refused names the rule of an error, and the line that the new version wants in its place.
func (c *comparison) refused(p Problem) {
	f := Finding{Rule: "REFUSED", Severity: Blocks, NewAt: p.At, Effect: refusal + p.Message, Advice: "correct this line"}
	s := c.new.statement(p.At)
	if s == nil {
		s = &Statement{}
	}
	f.Setting, f.New = s.Key, show(c.new.v, s.Key, s.Value)
	if s.Kind == SectionOpen {
		f.New = ""
	}
	switch msg := p.Message; {
	case strings.Contains(msg, "is missing units"):
		f.Rule, f.Advice = "A12", "write the unit: "+line(s.Key, s.Value+" s")
	case strings.Contains(msg, "vsz_limit } is too low"):
		f.Rule, f.Advice = "L04", "delete the line, or service pop3-login { vsz_limit = "+s.Value+" M }, one setting a line"
	case strings.Contains(msg, "Unknown workaround: outlook-idle"):
		f.Rule = "L05"
		f.Advice = "it is always on: " + line(s.Key, strings.Join(strings.Fields(strings.ReplaceAll(s.Value, "outlook-idle", "")), " "))
	case strings.Contains(msg, "auth_cache_size value is too small"):
		f.Rule, f.Advice = "A13", line(s.Key, s.Value+" M")
	case !c.new.v.old():
		f.Rule, f.Advice = c.refused24(s, f)
	}
	c.r.Findings = append(c.r.Findings, f)
}

// renamed24 are settings of 2.3 that 2.4 has under another name for the path of a file.
var renamed24 = map[string]string{"ssl_cert": "ssl_server_cert_file", "ssl_key": "ssl_server_key_file", "ssl_ca": "ssl_server_ca_file",
	"ssl_dh": "ssl_server_dh_file", "ssl_alt_cert": "ssl_server_alt_cert_file", "ssl_alt_key": "ssl_server_alt_key_file"}

// refused24 is a line of 2.3 in a file of 2.4.
func (c *comparison) refused24(s *Statement, f Finding) (rule, advice string) {
	path := strings.TrimSpace(strings.TrimPrefix(s.Value, "<"))
	switch {
	case renamed24[s.Key] != "":
		return "A07", line(renamed24[s.Key], path)
	case strings.HasPrefix(s.Key, "ssl_") && strings.HasSuffix(s.Key, "_file") && path != s.Value:
		return "A07", "write the path alone: " + line(s.Key, path)
	case s.Key == "passdb":
		return "A08", "give it the name of its driver: passdb pam { }, passdb passwd-file { } ..."
	case s.Key == "userdb":
		return "A08", "give it the name of its driver: userdb passwd { }, userdb passwd-file { } ..."
	case s.Key == "driver" && strings.Contains("shadow checkpassword dict", s.Value):
		return "A08", "2.4 has no " + s.Value + ": use passdb pam { }"
	case s.Key == "disable_plaintext_auth":
		yes, _ := boolean(v23, s.Value)
		return "A03", line("auth_allow_cleartext", map[bool]string{true: "no", false: "yes"}[yes])
	case s.Key == "mail_location":
		old := &Config{v: v23, entries: []entry{{key: "mail_location", value: s.Value, long: s.Value}}}
		return "S01", strings.Join(lines24(old.location()), ", ")
	case s.Key == "plugin":
		return "C03", "plugin { } is gone in 2.4: write its settings outside of all sections, under their new names"
	case s.Key == "service_count":
		return f.Rule, line("restart_request_count", s.Value)
	case strings.Contains(f.Effect, "The first setting must be dovecot_config_version"):
		return f.Rule, "write above all others: dovecot_config_version = " + c.new.v.String()
	case strings.Contains(f.Effect, "dovecot_storage_version setting must be set"):
		return f.Rule, "write below dovecot_config_version: dovecot_storage_version = " + c.new.v.String()
	}
	return f.Rule, f.Advice
}

// statement finds what stands at a "path:line".
func (c *Config) statement(at string) *Statement {
	for _, file := range c.Files {
		rest, ok := strings.CutPrefix(at, c.shown+file.Name+":")
		if !ok {
			continue
		}
		for i := range file.Statements {
			if s := &file.Statements[i]; fmt.Sprint(s.Line) == rest {
				return s
			}
		}
	}
	return nil
}
