package mx

import (
	"context"
	"errors"
	"strings"
)

// Mock is a Resolver over fixed records, for tests. Names are written with or without a final dot, in lower case.
// A name with any record, or above one, exists: other types of it are NODATA. All other names are NXDOMAIN. A Mock must
// not be changed while it is in use.
type Mock struct {
	MX    map[string][]string // {"example.org": {"10 mx1.example.org."}}
	A     map[string][]string
	AAAA  map[string][]string
	NS    map[string][]string
	TXT   map[string][]string
	TLSA  map[string][]string // {"_25._tcp.mx1.example.org": {"3 1 1 0123..."}}
	SOA   map[string]string   // "ns.example.org. hostmaster.example.org. 1 7200 900 1209600 300"
	CNAME map[string]string   // followed within the Mock

	TTL map[string]uint32 // seconds, by owner; without an entry 3600

	// Fail maps "example.org MX" to what happens instead of an answer: "SERVFAIL", "REFUSED" or any other code,
	// "bogus" (SERVFAIL because of DNSSEC), or "timeout". "example.org *" stands for all types of a name.
	Fail map[string]string

	Validated bool // the records are signed, and the resolver has checked that

	// Servers holds the zones of name servers that are asked directly, by "address:53". One that is not here times out.
	Servers map[string]*Mock
}

var errMockTimeout = errors.New("i/o timeout")

// Lookup answers from the maps.
func (m *Mock) Lookup(ctx context.Context, server, name, typ string) (*Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if server != "" {
		zone := m.Servers[server]
		if zone == nil {
			return nil, errMockTimeout
		}
		return zone.Lookup(ctx, "", name, typ)
	}
	a := &Answer{Code: "NOERROR", Authoritative: true, Recursive: true, Validated: m.Validated}
	for range maxChain + 1 {
		if code, ok := m.fails(name, typ); ok {
			if code == "timeout" {
				return nil, errMockTimeout
			}
			if code == "bogus" {
				return &Answer{Code: "SERVFAIL", Bogus: true}, nil
			}
			return &Answer{Code: code}, nil
		}
		target, ok := get(m.CNAME, name)
		if !ok {
			break
		}
		a.Answers = append(a.Answers, Record{Name: name, Type: "CNAME", TTL: m.ttl(name), Value: absolute(target)})
		name = absolute(target)
	}
	for _, v := range m.values(name, typ) {
		a.Answers = append(a.Answers, Record{Name: name, Type: typ, TTL: m.ttl(name), Value: v})
	}
	if len(m.values(name, typ)) == 0 {
		if !m.exists(name) {
			a.Code = "NXDOMAIN"
		}
		for zone := name; zone != ""; zone = parent(zone) {
			if soa, ok := get(m.SOA, zone); ok {
				a.Authority = []Record{{Name: zone, Type: "SOA", TTL: m.ttl(zone), Value: soa}}
				break
			}
		}
	}
	return a, nil
}

func (m *Mock) fails(name, typ string) (string, bool) {
	for _, t := range []string{typ, "*"} {
		for _, n := range []string{name, show(name)} {
			if code, ok := m.Fail[n+" "+t]; ok {
				return code, true
			}
		}
	}
	return "", false
}

func (m *Mock) ttl(name string) uint32 {
	if t, ok := get(m.TTL, name); ok {
		return t
	}
	return 3600
}

func (m *Mock) values(name, typ string) []string {
	var v []string
	switch typ {
	case "MX":
		v, _ = get(m.MX, name)
	case "A":
		v, _ = get(m.A, name)
	case "AAAA":
		v, _ = get(m.AAAA, name)
	case "NS":
		v, _ = get(m.NS, name)
	case "TXT":
		v, _ = get(m.TXT, name)
	case "TLSA":
		v, _ = get(m.TLSA, name)
	case "SOA":
		if soa, ok := get(m.SOA, name); ok {
			v = []string{soa}
		}
	}
	return v
}

func (m *Mock) exists(name string) bool {
	return has(m.MX, name) || has(m.A, name) || has(m.AAAA, name) || has(m.NS, name) || has(m.TXT, name) || has(m.TLSA, name) || has(m.SOA, name) || has(m.CNAME, name)
}

// has reports whether name or a name below it is in the map.
func has[V any](records map[string]V, name string) bool {
	for owner := range records {
		if owner = absolute(owner); owner == name || strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

func get[V any](records map[string]V, name string) (V, bool) {
	if v, ok := records[name]; ok {
		return v, true
	}
	v, ok := records[show(name)]
	return v, ok
}
