package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// names lists the services that are known, in the order in which they are shown.
var names = []string{"dovecot", "postfix", "sendmail", "sm-client", "exim", "fetchmail"}

var roles = map[string]Role{"dovecot": Access, "postfix": MTA, "sendmail": MTA, "sm-client": MTA, "exim": MTA, "fetchmail": Feeder}

// Find looks at the mail services of a host and changes nothing. What it cannot see without root's rights it leaves out.
func Find(ctx context.Context, h *hostcmd.Host) (*State, error) {
	out, err := h.Shell(ctx, nil, findScript)
	if err != nil {
		return nil, err
	}
	return parse(string(out))
}

// finder collects the lines of findScript.
type finder struct {
	state    State
	units    map[string]*unit // by Id
	block    *unit
	known    map[string]Service // by name
	process  map[string][]string
	sockets  map[string]int // inode -> port
	listener map[int]Listener
}

// unit is a block of `systemctl show`.
type unit struct{ id, load, active, file, triggers string }

func parse(text string) (*State, error) {
	f := &finder{units: map[string]*unit{}, block: &unit{}, known: map[string]Service{}, process: map[string][]string{}, sockets: map[string]int{}, listener: map[int]Listener{}}
	f.state = State{Services: []Service{}, Listeners: []Listener{}, Cron: []string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		if err := f.line(word, rest); err != nil {
			return nil, fmt.Errorf("services: line %q: %w", line, err)
		}
	}
	if f.state.Init == "" {
		return nil, fmt.Errorf("services: %q: want the facts of a host", text)
	}
	f.endUnit()
	f.byUnits()
	f.byProcess()
	for _, name := range names {
		if v, ok := f.known[name]; ok {
			f.state.Services = append(f.state.Services, v)
		}
	}
	for _, l := range f.listener {
		f.state.Listeners = append(f.state.Listeners, l)
	}
	slices.SortFunc(f.state.Listeners, func(a, b Listener) int { return cmp.Compare(a.Port, b.Port) })
	return &f.state, nil
}

func (f *finder) line(word, rest string) error {
	w := strings.Fields(rest)
	switch {
	case word == "init" && len(w) == 1:
		f.state.Init = How(w[0])
	case word == "chkconfig":
		f.state.Chkconfig = true
	case word == "unit":
		f.unitLine(rest)
	case word == "script" && len(w) >= 2:
		name := canonical(w[0])
		how := f.state.Init
		f.known[name] = Service{Name: name, Role: roles[name], How: how, Units: w[:1], Active: w[:1], Running: len(w) > 2, Boot: w[1] == "1"}
	case word == "process" && len(w) >= 2:
		f.process[w[0]] = strings.SplitN(rest, " ", 3)[1:]
	case word == "listen" && len(w) == 2:
		port, err := strconv.ParseUint(w[0], 16, 16)
		if err != nil {
			return err
		}
		f.sockets[w[1]] = int(port)
		if _, ok := f.listener[int(port)]; !ok {
			f.listener[int(port)] = Listener{Port: int(port)}
		}
	case word == "owner" && len(w) >= 2:
		f.owner(w)
	case word == "cron":
		f.state.Cron = append(f.state.Cron, rest)
	default:
		return fmt.Errorf("not understood")
	}
	return nil
}

// owner notes whose socket it is. Several processes may share one; that with the lowest number opened it.
func (f *finder) owner(w []string) {
	port, ok := f.sockets[w[0]]
	pid, err := strconv.Atoi(w[1])
	if !ok || err != nil {
		return
	}
	if l := f.listener[port]; l.PID == 0 || pid < l.PID {
		f.listener[port] = Listener{port, pid, strings.Join(w[2:], " ")}
	}
}

// canonical is the name of a service that init knows by another one, as Debian does exim.
func canonical(name string) string {
	name = strings.TrimSuffix(name, ".service")
	if name == "exim4" {
		return "exim"
	}
	return name
}

func (f *finder) unitLine(rest string) {
	key, value, ok := strings.Cut(rest, "=")
	switch {
	case !ok:
		f.endUnit()
	case key == "Id":
		f.block.id = value
	case key == "LoadState":
		f.block.load = value
	case key == "ActiveState":
		f.block.active = value
	case key == "UnitFileState":
		f.block.file = value
	case key == "TriggeredBy":
		f.block.triggers = value
	}
}

func (f *finder) endUnit() {
	if f.block.id != "" {
		f.units[f.block.id] = f.block
	}
	f.block = &unit{}
}

// alive are the states of a unit that is up or on its way (systemd's unit_active_state).
func (u *unit) alive() bool {
	return u != nil && slices.Contains([]string{"active", "activating", "reloading", "refreshing"}, u.active)
}

func (f *finder) byUnits() {
	for id, u := range f.units {
		name := canonical(id)
		if _, ok := roles[name]; !ok || !strings.HasSuffix(id, ".service") || u.load == "not-found" || u.load == "error" || u.load == "masked" {
			continue
		}
		v := Service{Name: name, Role: roles[name], How: Systemd, Units: []string{}, Active: []string{}}
		for _, unit := range append(strings.Fields(u.triggers), id) {
			v.Units = append(v.Units, unit)
			if f.units[unit].alive() {
				v.Active, v.Running = append(v.Active, unit), true
			}
		}
		v.Boot = u.file != "disabled" && u.file != "static"
		if has, ok := f.known[name]; !ok || !has.Running {
			f.known[name] = v
		}
	}
}

// byProcess adds what runs whatever init says of it.
func (f *finder) byProcess() {
	for name, w := range f.process {
		v, ok := f.known[name]
		pid, err := strconv.Atoi(w[0])
		if whole, both := f.known["sendmail"]; err != nil || name == "sm-client" && !ok && both && whole.How != Program {
			continue // one init script has both of sendmail's daemons
		}
		if !ok || v.How == Systemd && !v.Running {
			v = Service{Name: name, Role: roles[name], How: Program, Units: []string{name}, Active: []string{name}}
			if len(w) > 1 {
				v.Command = strings.TrimSpace(w[1])
			}
		}
		v.PID, v.Running = pid, true
		f.known[name] = v
	}
}
