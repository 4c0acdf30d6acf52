package dovecotconf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Counts says how many messages keep their UIDL.
type Counts struct {
	Checked       int `json:"checked"`
	Same          int `json:"same"`
	Changed       int `json:"changed"`
	Unpredictable int `json:"unpredictable"` // no UIDL can be told: no counterpart, no UIDVALIDITY, or the format fails
}

// Mail is one mailbox as one server finds it.
type Mail struct {
	Messages []Message // in the order of their UIDs; UIDValidity 0 where no client has seen the UID yet
	// Keys pair each message with its counterpart on the other server; nil takes header MD5, GUID or file name, else the
	// UID. Header MD5s do when an mbox became a Maildir.
	Keys     []string
	Maildir  bool
	Numbered bool // mbox without UIDVALIDITY: a server has marked messages nevertheless, so clients know UIDs of them
	BadSizes int  // Maildir: files whose size is not the ,S= of their name
}

// Difference is a message whose UIDL changes.
type Difference struct {
	UID      uint32 // on the old server
	Old, New string
}

// Mailbox is what POP3 clients will find of one mailbox after the move.
type Mailbox struct {
	Name string
	Counts
	Differences []Difference   // the first ten
	Reasons     map[string]int // why messages are unpredictable
}

const maxDifferences = 10

// Choice gives how this server picks UIDLs for POP3.
func (c *Config) Choice() (Choice, error) {
	f, _, err := c.UIDLFormat()
	return Choice{Format: f, ReuseXUIDL: c.yes("pop3_reuse_xuidl"), RenameDuplicates: c.Get("pop3", "pop3_uidl_duplicates").Value == "rename"}, err
}

// Predict adds one mailbox, as it is on the old server and as it is on the new one, to the counts.
func (n *Counts) Predict(old, new Choice, before, after []Message) {
	a, b := Mail{Messages: before}, Mail{Messages: after}
	n.add(predict("", old, new, a, b, pairs(a, b)).Counts)
}

func (n *Counts) add(m Counts) {
	n.Checked += m.Checked
	n.Same += m.Same
	n.Changed += m.Changed
	n.Unpredictable += m.Unpredictable
}

func predict(name string, old, new Choice, before, after Mail, pair []int) *Mailbox {
	box := &Mailbox{Name: name, Counts: Counts{Checked: len(before.Messages)}, Reasons: map[string]int{}}
	was, err := old.UIDLs(before.Messages)
	if err != nil {
		box.unpredictable(len(before.Messages), "POP3 failed on the old server: "+err.Error())
		return box
	}
	now, err := new.UIDLs(after.Messages)
	if err != nil {
		box.unpredictable(len(before.Messages), "POP3 will fail: "+err.Error())
		return box
	}
	for i, j := range pair {
		m := before.Messages[i]
		switch {
		case j < 0:
			box.unpredictable(1, "not found on the new server")
		case !old.settled(m):
			box.unpredictable(1, "no UID on the old server yet: none that a client has seen")
		case !new.settled(after.Messages[j]):
			box.unpredictable(1, "no UID on the new server yet: it is given when a client first looks")
		case was[i] == now[j]:
			box.Same++
		default:
			box.Changed++
			if len(box.Differences) < maxDifferences {
				box.Differences = append(box.Differences, Difference{m.UID, was[i], now[j]})
			}
		}
	}
	return box
}

func (b *Mailbox) unpredictable(n int, why string) {
	b.Unpredictable += n
	if n > 0 {
		b.Reasons[why] += n
	}
}

// settled: the UIDL does not hang on numbers that are yet to be given.
func (c Choice) settled(m Message) bool {
	return m.UIDValidity != 0 || m.Saved != "" || c.ReuseXUIDL && m.XUIDL != "" ||
		!c.Format.Uses("uid") && !c.Format.Uses("uidvalidity")
}

// keys are what a message can be known by on the other server, the surest first.
func (m Mail) keys(i int) []string {
	if m.Keys != nil {
		return m.Keys[i : i+1]
	}
	var out []string
	for _, k := range []string{m.Messages[i].MD5, m.Messages[i].GUID, m.Messages[i].base()} {
		if k != "" && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	if out == nil {
		out = []string{strconv.FormatUint(uint64(m.Messages[i].UID), 10)}
	}
	return out
}

// pairs gives the index in after for each message of before, -1 for none. Messages with equal keys are paired in order.
func pairs(before, after Mail) []int {
	at := map[string][]int{}
	for j := range after.Messages {
		for _, k := range after.keys(j) {
			at[k] = append(at[k], j)
		}
	}
	taken := make([]bool, len(after.Messages))
	out := make([]int, len(before.Messages))
	for i := range before.Messages {
		out[i] = -1
		for _, k := range before.keys(i) {
			for len(at[k]) > 0 && taken[at[k][0]] {
				at[k] = at[k][1:]
			}
			if len(at[k]) > 0 {
				out[i] = at[k][0]
				taken[out[i]] = true
				break
			}
		}
	}
	return out
}

// String is one line, and one more for each of the first differences and for each reason of unpredictable messages.
func (b *Mailbox) String() string {
	out := fmt.Sprintf("%s: %d checked, %d same, %d changed, %d unpredictable\n", printable(b.Name), b.Checked, b.Same, b.Changed, b.Unpredictable)
	for _, d := range b.Differences {
		out += fmt.Sprintf("    UID %d: %q becomes %q\n", d.UID, d.Old, d.New)
	}
	if n := b.Changed - len(b.Differences); n > 0 {
		out += fmt.Sprintf("    and %d more\n", n)
	}
	for _, why := range slices.SortedFunc(maps.Keys(b.Reasons), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.Reasons[y], b.Reasons[x]), cmp.Compare(x, y))
	}) {
		out += fmt.Sprintf("    %d unpredictable: %s\n", b.Reasons[why], why)
	}
	return out
}

// printable quotes a name that does not fit on a line.
func printable(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}
