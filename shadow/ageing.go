package shadow

import "fmt"

// ageing tells how the dates of e will meet its owner on the new host. The rules are those of pam_unix
// (check_shadow_expiry); for IMAP and POP3 a due change of the password is a refused login. Without a day only what
// holds on every day is told.
func ageing(e *record, day int64, dated bool) []Finding {
	var out []Finding
	tell := func(kind, format string, args ...any) {
		out = append(out, Finding{Kind: kind, Detail: fmt.Sprintf(format, args...)})
	}
	if expire, ok := Number(e[fieldExpire]).Value(); ok {
		switch {
		case expire == 0:
			tell("expired", "the expiry date is 0, not empty: the account is closed")
		case dated && day >= expire:
			tell("expired", "the account expired %d days ago", day-expire)
		}
	}
	if least, ok := Number(e[fieldMin]).Value(); ok && least > 0 {
		tell("min-lost", "shadow-utils 4.20 and later clear the minimum age of %d days when they rewrite the line", least)
	}
	last, ok := Number(e[fieldLastChange]).Value()
	switch {
	case !ok || last < 0:
		return out
	case last == 0:
		tell("change-forced", "the date of the last change is 0: a new password is asked for at the next login")
		return out
	case !dated:
		return out
	case last > day:
		tell("future-change", "the password was last changed %d days from now", last-day)
		return out
	}
	most, limited := Number(e[fieldMax]).Value()
	if !limited || day-last <= most {
		return out
	}
	grace, closes := Number(e[fieldInactive]).Value()
	if closes && day-last > most+grace && day-last > grace {
		tell("locked-out", "the password is %d days old; the account closed after %d and %d more", day-last, most, grace)
	} else {
		tell("change-forced", "the password is %d days old and had to be changed after %d", day-last, most)
	}
	return out
}
