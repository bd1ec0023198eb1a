package trap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	socketBuffer = 32 << 20
	maxDatagram  = 65535
	// maxRead and maxWrite are how many datagrams one call of the system takes.
	maxRead, maxWrite = 32, 64
)

// socket is the sink's UDP socket. One goroutine reads, any may write.
type socket struct {
	conn  *net.UDPConn
	batch *ipv4.PacketConn // reads and writes many at once, of IPv6, too
	in    []ipv4.Message

	writing sync.Mutex // guards out
	out     []ipv4.Message
}

// answer is a datagram on its way to a sender.
type answer struct {
	bytes []byte
	to    netip.AddrPort
}

// listen opens the socket with a receive buffer that takes a storm.
func listen(bind string, port int) (*socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// Above the system's limit where we may, up to it elsewhere.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
			}
		})
	}}
	c, err := lc.ListenPacket(context.Background(), "udp", net.JoinHostPort(bind, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	s := &socket{conn: c.(*net.UDPConn), in: make([]ipv4.Message, maxRead)}
	s.batch = ipv4.NewPacketConn(s.conn)
	for i := range s.in {
		s.in[i].Buffers = [][]byte{make([]byte, maxDatagram)}
	}
	return s, nil
}

func (s *socket) addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *socket) close() error { return s.conn.Close() }

// read waits for datagrams and calls take with each; the bytes are good until
// it returns. more tells that there may be more at once. The error is
// net.ErrClosed, or one that a later read may not have.
func (s *socket) read(take func(datagram []byte, from netip.AddrPort)) (more bool, err error) {
	n, err := s.batch.ReadBatch(s.in, 0)
	if err != nil {
		return false, err
	}
	for i := range s.in[:n] {
		if from, ok := s.in[i].Addr.(*net.UDPAddr); ok {
			a := from.AddrPort()
			take(s.in[i].Buffers[0][:s.in[i].N], netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
		}
	}
	return n == len(s.in), nil
}

// write sends answers. Those that can't be sent are lost: their senders ask
// again. The error is that of the last one.
func (s *socket) write(answers []answer) (err error) {
	if len(answers) == 1 {
		_, err = s.conn.WriteToUDPAddrPort(answers[0].bytes, answers[0].to)
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	for len(answers) > 0 {
		s.out = s.out[:0]
		for _, a := range answers[:min(len(answers), maxWrite)] {
			s.out = append(s.out, ipv4.Message{Buffers: [][]byte{a.bytes}, Addr: net.UDPAddrFromAddrPort(a.to)})
		}
		n, werr := s.batch.WriteBatch(s.out, 0)
		if werr != nil {
			if err = werr; errors.Is(err, net.ErrClosed) {
				return err
			}
			n++ // the first of them is the one that can't be sent
		}
		answers = answers[min(max(n, 1), len(answers)):]
	}
	return err
}

// Of linux/sock_diag.h: what SO_MEMINFO tells, and where the datagrams stand
// that the kernel dropped since the socket's buffer was full.
const (
	memInfoVars  = 9
	memInfoDrops = 8
)

// overflown is how many datagrams the kernel has dropped so far.
func (s *socket) overflown() uint64 {
	rc, err := s.conn.SyscallConn()
	if err != nil {
		return 0
	}
	var info [memInfoVars]uint32
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	err = rc.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil || errno != 0 {
		return 0
	}
	return uint64(info[memInfoDrops])
}
