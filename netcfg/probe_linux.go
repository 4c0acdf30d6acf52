package netcfg

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// rawSocket opens a socket for frames of one kind on one interface (packet(7)). It can be read with a deadline.
func rawSocket(index int, kind uint16) (*os.File, error) {
	// the kernel wants the protocol as it stands in the frame
	order := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, kind))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(order))
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order, Ifindex: index}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "packet socket"), nil
}
