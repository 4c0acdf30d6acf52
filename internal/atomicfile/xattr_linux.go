package atomicfile

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// xattr is one extended attribute: user.*, the POSIX ACL (system.posix_acl_access), the label of SELinux, capabilities.
type xattr struct {
	name  string
	value []byte
}

const aclXattr = "system.posix_acl_access"

// Signatures and hashes over the content, kept by the kernel (IMA, EVM): those of the old content would be wrong.
var ofContent = []string{"security.ima", "security.evm"}

func readXattrs(f *os.File) ([]xattr, error) {
	fd := int(f.Fd())
	list, err := sized(func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []xattr
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name == "" || slices.Contains(ofContent, name) {
			continue
		}
		value, err := sized(func(buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) })
		switch {
		case err == nil:
			out = append(out, xattr{name, value})
		case !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP):
			return nil, err
		}
	}
	return out, nil
}

// sized asks for the size first and again when the value grew meanwhile.
func sized(get func(buf []byte) (int, error)) ([]byte, error) {
	for range 5 {
		n, err := get(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = get(buf)
		if err == nil {
			return buf[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) {
			return nil, err
		}
	}
	return nil, unix.ERANGE
}

// writeXattrs gives f the attributes want. An ACL that f inherited from its directory and that is not wanted goes: with
// the final mode it would open the file to more people.
func writeXattrs(f *os.File, want []xattr) error {
	have, err := readXattrs(f)
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	named := func(set []xattr, name string) int {
		return slices.IndexFunc(set, func(x xattr) bool { return x.name == name })
	}
	if named(have, aclXattr) >= 0 && named(want, aclXattr) < 0 {
		if err := unix.Fremovexattr(fd, aclXattr); err != nil {
			return err
		}
	}
	for _, x := range want {
		if i := named(have, x.name); i >= 0 && bytes.Equal(have[i].value, x.value) {
			continue
		}
		err := unix.Fsetxattr(fd, x.name, x.value, 0)
		// Without its ACL the group bits of the mode would mean something else, so that one is never left out.
		if err != nil && (x.name == aclXattr || !errors.Is(err, unix.ENOTSUP)) {
			return err
		}
	}
	return nil
}
