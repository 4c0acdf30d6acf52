package mx

import (
	"fmt"
	"net/netip"
	"strings"
)

// configs are the texts for a backup exchanger of either kind. The route to the primary is pinned to its address, which
// makes the backup independent of MX preferences (MX07, MX09) and of DNS. Without a recipient list the texts hold none:
// the backup then takes every recipient of the domain and bounces later, rather than refusing known ones.
func configs(f *facts, o *Options) map[string]string {
	primary := pin(f, o)
	if o.Backup == "" || !primary.IsValid() || f.mx.state != found && f.mx.state != nodata {
		return nil
	}
	domain := show(f.domain)
	out := map[string]string{
		"postfix/main.cf":        postfixMain(domain, primary, len(o.Recipients) > 0),
		"postfix/etrn_clients":   etrnClients(primary, o),
		"sendmail/sendmail.mc":   sendmailMC(len(o.Recipients) > 0),
		"sendmail/mailertable":   fmt.Sprintf("%s\tesmtp:%s\n", domain, bracketed(primary, "IPv6:")),
		"sendmail/relay-domains": domain + "\n",
	}
	if len(o.Recipients) > 0 {
		var table, access strings.Builder
		for _, r := range withRoles(o.Recipients, domain) {
			fmt.Fprintf(&table, "%s x\n", r)
			fmt.Fprintf(&access, "To:%s\tRELAY\n", r)
		}
		fmt.Fprintf(&access, "To:%s\tERROR:5.1.1:\"550 User unknown\"\n", domain)
		out["postfix/relay_recipients"] = table.String()
		out["sendmail/access"] = access.String()
	}
	return out
}

// pin is where the primary answers during the move: the address that is taken over, else the primary's first one, IPv4
// before IPv6.
func pin(f *facts, o *Options) netip.Addr {
	if o.Old.IsValid() {
		return o.Old
	}
	addrs := allAddrs(f.sides(o).primary)
	for _, a := range addrs {
		if a.Is4() {
			return a
		}
	}
	if len(addrs) > 0 {
		return addrs[0]
	}
	return netip.Addr{}
}

// bracketed is an address as a next hop; sendmail wants IPv6 tagged as in RFC 5321 section 4.1.3, Postfix does not.
func bracketed(a netip.Addr, tag string) string {
	if a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[" + tag + a.String() + "]"
}

// withRoles adds the mailboxes that every domain must have (RFC 5321 section 4.5.1, RFC 2142).
func withRoles(recipients []string, domain string) []string {
	out := []string{"abuse@" + domain, "postmaster@" + domain}
	for _, r := range recipients {
		if r != out[0] && r != out[1] {
			out = append(out, r)
		}
	}
	return out
}

// postfixMain are the main.cf lines, tried with Postfix 3.7: texthash and inline tables need no postmap and no Berkeley
// DB. fast_flush_domains makes ETRN known to the queue manager; relay_domains keeps the domain out of local delivery.
func postfixMain(domain string, primary netip.Addr, listed bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# backup MX for %s; the domain must not be in mydestination or virtual_*_domains\n", domain)
	fmt.Fprintf(&b, "relay_domains = %s\n", domain)
	if listed {
		b.WriteString("relay_recipient_maps = texthash:/etc/postfix/relay_recipients\n")
	} else {
		b.WriteString("# no recipient list was given: every recipient is taken, unknown ones bounce when the primary is back\n")
		b.WriteString("relay_recipient_maps =\n")
	}
	fmt.Fprintf(&b, "transport_maps = inline:{%s=relay:%s}\n", domain, bracketed(primary, ""))
	b.WriteString(`smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_etrn_restrictions = check_client_access texthash:/etc/postfix/etrn_clients, permit_mynetworks, reject
fast_flush_domains = $relay_domains
maximal_queue_lifetime = 30d
bounce_queue_lifetime = 30d
# for the time of the move only: a refusal by the new host stays in the queue
soft_bounce = yes
`)
	return b.String()
}

// etrnClients are those who may ask for the queue: the primary under the address that it takes over, and under the one
// that it has before.
func etrnClients(primary netip.Addr, o *Options) string {
	text := fmt.Sprintf("%s OK\n", primary)
	if o.New.IsValid() && o.New != primary {
		text += fmt.Sprintf("%s OK\n", o.New)
	}
	return text
}

// sendmailMC are the lines for sendmail.mc. Relayed domains are read from relay-domains without a feature.
func sendmailMC(listed bool) string {
	text := "FEATURE(`mailertable')dnl\n"
	if listed {
		text += "FEATURE(`access_db')dnl\nFEATURE(`blocklist_recipients')dnl\n"
	}
	return text + "define(`confTO_QUEUERETURN', `30d')dnl\n" +
		"define(`confTO_QUEUEWARN', `0')dnl\n" +
		"define(`confMIN_QUEUE_AGE', `0')dnl\n" +
		"define(`confSOFT_BOUNCE', `True')dnl\n"
}
