// Package mx tells whether a domain's mail survives the time in which its mail server is moved: it reads the MX set
// over DNS with preferences and times to live, judges it by numbered rules (MX01 to MX23), tries the backup exchanger
// by SMTP without sending a message (SM01 to SM16), draws up the plan of the move and the backup's configuration, and
// asks the backup for its queue afterwards.
//
// The promise: what could not be found out is said to be unknown and is never called a fault nor good. Status is part
// of the Report and not an error; an error means that the arguments cannot be used or that the context ended. Nothing
// is changed anywhere, and no message is sent: the SMTP trial ends before DATA. Only with AskETRN does it start a queue run.
//
// Not promised: a recipient that is accepted is not yet a message that is queued; only a message followed through the
// queue shows that. DNSSEC is judged by what a validating resolver says; nothing is validated here.
//
//	report, err := mx.Check(ctx, "example.org", &mx.Options{Backup: "mx2.example.org", Downtime: 4 * time.Hour})
//	if err != nil {
//		return err // the arguments or the context
//	}
//	fmt.Print(report)
//	ok := report.Status == mx.OK || report.Status == mx.Warn
//
// # Rules
//
// A finding of severity fail means that mail is lost, bounced or taken for strangers; warn, that it works and should be
// changed; unknown, that a fail could not be ruled out; info, that a warn could not.
//
//	MX01 fail     the domain does not exist, or its CNAME records lead nowhere
//	MX02 unknown  the MX set cannot be found out: SERVFAIL, silence, a lame server
//	MX03 fail     no MX record: mail goes to the domain's own address, without a backup
//	MX04 fail     a first MX record for the backup alone ends that
//	MX05 fail     the null MX (RFC 7505), alone, among others or with a preference
//	MX06 fail     fewer than two exchangers, or the backup is not one of them
//	MX07 fail     the backup has the primary's preference: it finds itself and bounces
//	MX08 fail     the backup comes before the primary
//	MX09 fail     the set does not lead to the primary: a backup that relays by MX loops and bounces
//	MX10 fail     an exchanger without an address
//	MX11 warn     an exchanger that is a CNAME
//	MX12 fail     an address where a name belongs
//	MX13 fail     an address that no stranger reaches
//	MX14 fail     the backup is the primary's machine, or the old or the new host
//	MX15 warn     the backup is in the primary's network
//	MX16 fail     all name servers go down with the old host
//	MX17 warn     the zone's name servers disagree, or are lame
//	MX18 warn     the TTL is longer than the time until the cut-over
//	MX19 warn     an exchanger's name is no host name
//	MX20 warn     two preferences for one name, too many exchangers or addresses, an answer that does not fit into UDP
//	MX21 info     the domain is a CNAME
//	MX22 warn     broken DNSSEC; DANE at the primary and none at the backup
//	MX23 fail     the MTA-STS policy does not name an exchanger (enforce; warn while testing)
//	SM01 fail     the backup does not take connections
//	SM02 fail     it refuses the known recipient
//	SM03 fail     it asks the primary about recipients first
//	SM04 warn     it takes recipients that do not exist
//	SM05 warn     it takes recipients in subdomains
//	SM06 fail     it is an open relay
//	SM07 warn     it refuses postmaster
//	SM08 warn     its SIZE is smaller than the primary's; no STARTTLS, or a certificate that does not fit
//	SM09 warn     it delivers the domain's mail on itself
//	SM10 fail     the downtime is too long for its queue lifetime, or for senders while the backup is unproven
//	SM11 warn     it keeps bounces shorter than messages
//	SM12 warn     it does not offer ETRN, or not to us
//	SM13 fail     the new host refuses mail that comes from it
//	SM14 warn     it has no route of its own for the domain
//	SM15 warn     its disk is full, or too small for the downtime
//	SM16 warn     another relay takes the mail in the primary's place
package mx
