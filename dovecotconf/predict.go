package dovecotconf

import "cmp"

// Counts says how many messages keep their UIDL.
type Counts struct {
	Checked       int `json:"checked"`
	Same          int `json:"same"`
	Changed       int `json:"changed"`
	Unpredictable int `json:"unpredictable"` // no UIDL can be told: no counterpart, no UIDVALIDITY, or the format fails
}

// Choice gives how this server picks UIDLs for POP3.
func (c *Config) Choice() (Choice, error) {
	f, _, err := c.UIDLFormat()
	return Choice{Format: f, ReuseXUIDL: c.yes("pop3_reuse_xuidl"), RenameDuplicates: c.Get("pop3", "pop3_uidl_duplicates").Value == "rename"}, err
}

// identity is what a message is paired by: header MD5, GUID, file name, else the UID.
func (m Message) identity() any {
	if s := cmp.Or(m.MD5, m.GUID, m.base()); s != "" {
		return s
	}
	return m.UID
}

// Predict adds one mailbox, as it is on the old server and as it is on the new one, to the counts.
func (n *Counts) Predict(old, new Choice, before, after []Message) {
	n.Checked += len(before)
	was, err := old.UIDLs(before)
	now, err2 := new.UIDLs(after)
	if err != nil || err2 != nil {
		n.Unpredictable += len(before)
		return
	}
	at := map[any][]int{}
	for i, m := range after {
		at[m.identity()] = append(at[m.identity()], i)
	}
	for i, m := range before {
		found := at[m.identity()]
		if len(found) == 0 || m.UIDValidity == 0 && m.Saved == "" {
			n.Unpredictable++
			continue
		}
		j := found[0]
		if len(found) > 1 {
			at[m.identity()] = found[1:]
		}
		switch {
		case after[j].UIDValidity == 0 && after[j].Saved == "":
			n.Unpredictable++
		case was[i] == now[j]:
			n.Same++
		default:
			n.Changed++
		}
	}
}
