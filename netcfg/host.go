package netcfg

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// Host is what the package looks at on a host.
type Host struct {
	Hostname    string            // as etc/hostname, or HOSTNAME in etc/sysconfig/network, say; may be empty
	Files       map[string][]byte // content by path below the root, without a leading slash
	Irregular   map[string]string // what stands in the place of a file: a link, a directory, something too large
	IfcfgPlugin bool              // NetworkManager's plugin for ifcfg files is installed
}

const (
	scriptsDir  = "etc/sysconfig/network-scripts/"
	keyfileDir  = "etc/NetworkManager/system-connections/"
	hostsPath   = "etc/hosts"
	networkPath = "etc/sysconfig/network"
	maxFile     = 16 << 20 // bytes; no file of these is larger in earnest
)

var (
	hostFiles = []string{hostsPath, "etc/hostname", "etc/os-release", "usr/lib/os-release", "etc/resolv.conf", networkPath,
		"etc/network/interfaces", "etc/cloud/cloud.cfg"}
	hostPatterns = []string{scriptsDir + "ifcfg-*", scriptsDir + "route-*", scriptsDir + "route6-*", scriptsDir + "rule-*",
		scriptsDir + "rule6-*", keyfileDir + "*.nmconnection", "etc/network/interfaces.d/*", "etc/netplan/*.yaml",
		"etc/systemd/network/*.network", "etc/sysconfig/network/ifcfg-*", "etc/cloud/cloud.cfg.d/*.cfg"}
	pluginPattern = "usr/lib*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so"
	// what all readers of ifcfg files take for a backup
	backupSuffixes = []string{"~", ".bak", ".orig", ".rpmnew"}
	// what only the network scripts (init.d/network), and what only NetworkManager (shvar users in ifcfg-rh) leave alone
	scriptsSkip = regexp.MustCompile(`\.(old|rpmorig|rpmsave)$`)
	nmSkip      = regexp.MustCompile(`(\.(rej|augnew|augtmp)|;[0-9a-fA-F]{8})$`)
)

// ReadHost reads the network files of the host whose file tree begins at root, which may be a symbolic link such as
// /proc/PID/root. Files that are links, directories or over 16 MiB are noted in Irregular and not followed; absent ones
// are no error. Errors are *fs.PathError.
func ReadHost(root string) (*Host, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := &Host{Files: map[string][]byte{}, Irregular: map[string]string{}}
	for _, name := range hostFiles {
		if err := h.read(r, name); err != nil {
			return nil, err
		}
	}
	for _, pattern := range hostPatterns {
		names, err := list(r, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := h.read(r, name); err != nil {
				return nil, err
			}
		}
	}
	plugins, err := fs.Glob(r.FS(), pluginPattern)
	h.IfcfgPlugin = err == nil && len(plugins) > 0
	h.Hostname = h.hostname()
	return h, nil
}

// list gives the entries of one directory that match, without backups, of which only ifupdown knows nothing. A directory that is not there has none.
func list(r *os.Root, pattern string) ([]string, error) {
	dir, err := r.Open(path.Dir(pattern))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		return nil, nil // absent, no directory, or a link out of the tree
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		if info, serr := dir.Stat(); serr == nil && !info.IsDir() {
			return nil, nil
		}
		return nil, err
	}
	var out []string
	for _, e := range entries {
		ok, err := path.Match(path.Base(pattern), e.Name())
		if err != nil {
			return nil, err
		}
		if ok && (strings.HasPrefix(pattern, interfacesPath) || !slices.ContainsFunc(backupSuffixes, func(s string) bool { return strings.HasSuffix(e.Name(), s) })) {
			out = append(out, path.Join(path.Dir(pattern), e.Name()))
		}
	}
	slices.Sort(out)
	return out, nil
}

// read takes one file in when it is a regular one.
func (h *Host) read(r *os.Root, name string) error {
	info, err := r.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return err
	case err != nil:
		h.Irregular[name] = "below a link that leaves the tree, or below a file"
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := r.Readlink(name)
		if err != nil {
			return err
		}
		h.Irregular[name] = "a symbolic link to " + target
		return nil
	case !info.Mode().IsRegular():
		h.Irregular[name] = "no regular file"
		return nil
	case info.Size() > maxFile:
		h.Irregular[name] = fmt.Sprintf("%d bytes long", info.Size())
		return nil
	}
	snap, err := atomicfile.Read(r, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	h.Files[name] = snap.Data
	return nil
}

func (h *Host) hostname() string {
	for line := range strings.Lines(string(h.Files["etc/hostname"])) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return h.network().plain("HOSTNAME")
}

// network gives etc/sysconfig/network, empty where there is none.
func (h *Host) network() *Ifcfg { return ParseIfcfg(networkPath, h.Files[networkPath]) }

// paths lists the files below a prefix, sorted.
func (h *Host) paths(prefix string) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(h.Files)) {
		if strings.HasPrefix(p, prefix) {
			out = append(out, p)
		}
	}
	return out
}

// nmReads tells whether NetworkManager handles an ifcfg file; where it does not, the network scripts do.
func (h *Host) nmReads(f *Ifcfg) bool {
	return h.IfcfgPlugin && !strings.EqualFold(f.Var("NM_CONTROLLED").NM, "no")
}

// dormant tells that the one who handles a file takes its name for that of a backup.
func (h *Host) dormant(f *Ifcfg) bool {
	if h.nmReads(f) {
		return nmSkip.MatchString(f.name)
	}
	return scriptsSkip.MatchString(f.name)
}

// rivals reports the files that configure an interface beside the first one.
func (h *Host) rivals(main []*Ifcfg, iface string) (found []Finding) {
	for _, f := range main[1:] {
		x := Finding{"AMBIGUOUS", Fail, fmt.Sprintf("%s and %s both configure %s", main[0].name, f.name, iface), "keep one of them in this directory"}
		if h.dormant(f) {
			x.Severity, x.Detail = Warn, fmt.Sprintf("%s is a backup to the network scripts or to NetworkManager, but not to both, and configures %s", f.name, iface)
		}
		found = append(found, x)
	}
	return found
}

// ifcfg finds the files of an interface: those that name it by DEVICE or by the file name, one that is in use first, and
// its aliases. Where no file is in use there is none.
func (h *Host) ifcfg(iface string) (main []*Ifcfg, aliases []*Ifcfg) {
	var asleep []*Ifcfg
	for _, p := range h.paths(scriptsDir + "ifcfg-") {
		f := ParseIfcfg(p, h.Files[p])
		device := f.plain("DEVICE")
		if device == "" {
			device = strings.TrimPrefix(p, scriptsDir+"ifcfg-")
		}
		switch {
		case device == iface && h.dormant(f):
			asleep = append(asleep, f)
		case device == iface:
			main = append(main, f)
		case h.dormant(f):
		case strings.HasPrefix(device, iface+":"):
			aliases = append(aliases, f)
		}
	}
	if len(main) == 0 {
		return nil, aliases
	}
	return append(main, asleep...), aliases
}

// Paths lists what ReadHost looks at, as paths and patterns below the root: a copy of these files is enough for it.
func Paths() []string {
	return append(slices.Concat(hostFiles, hostPatterns), pluginPattern)
}
