package wol

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"yagura/drivers/internal/sshtest"
)

// shutdown stands for the operating system's: it writes down what it was asked
// for, and the test's machine acts on it.
const shutdown = `#!/bin/sh
[ -e %[1]s/refuses ] && { echo "not allowed"; exit 1; }
[ -e %[1]s/hangsup ] && kill -9 $PPID
case $1 in
-P) echo host-shutdown >> %[1]s/ledger ;;
-r) echo host-reboot >> %[1]s/ledger ;;
esac
echo "$1" > %[1]s/asked.new && mv %[1]s/asked.new %[1]s/asked
`

// machine is a physical machine: its operating system is a real sshd, its
// sleeping network card a UDP socket. While it is off or dead nothing answers on
// its address, as for a machine that has lost its power: the port neither accepts
// nor refuses.
type machine struct {
	t        *testing.T
	dir      string
	access   Machine
	port     int
	wakes    net.PacketConn
	loops    sync.WaitGroup
	stopping chan struct{}

	mu     sync.Mutex // guards the rest
	sshd   *exec.Cmd  // nil: off or dead
	hollow *hollow    // in its place
	dead   bool       // crashed: takes no notice of a magic packet
}

func startMachine(t *testing.T, on bool) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "yg-wol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	hostKey, hostLine := sshtest.KeyPair(t)
	userKey, userLine := sshtest.KeyPair(t)
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's own, made at boot
		t.Fatal(err)
	}
	write("bin/shutdown", fmt.Sprintf(shutdown, dir), 0o755)
	write("ledger", "", 0o600)
	write("host", hostKey, 0o600)
	write("authorized", userLine+"\n", 0o600)
	m := &machine{t: t, dir: dir, port: freePort(t), stopping: make(chan struct{})}
	write("conf", fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/authorized
SetEnv PATH=%[2]s/bin:/usr/bin:/bin HOME=%[2]s
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
`, m.port, dir), 0o600)
	if m.wakes, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	m.access = Machine{
		Address: fmt.Sprintf("127.0.0.1:%d", m.port), User: "root", Key: userKey, HostKey: hostLine,
		MAC: "52:54:00:12:34:56", Broadcast: m.wakes.LocalAddr().String(),
	}
	if on {
		m.boot()
	} else {
		m.stop(false)
	}
	m.loops.Go(m.listen)
	m.loops.Go(m.obey)
	t.Cleanup(func() {
		close(m.stopping)
		_ = m.wakes.Close()
		m.loops.Wait()
		m.stop(false)
		m.hollow.close()
	})
	return m
}

// boot starts the operating system and waits until it answers.
func (m *machine) boot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sshd != nil {
		return
	}
	m.hollow.close()
	m.hollow = nil
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		m.t.Errorf("sshd is missing: apt-get install openssh-server")
		return
	}
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(m.dir, "conf"))
	out, err := os.OpenFile(filepath.Join(m.dir, "sshd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer func() { _ = out.Close() }()
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		m.t.Error(err)
		return
	}
	m.sshd = cmd
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		c, err := net.DialTimeout("tcp", m.access.Address, time.Second)
		if err != nil {
			continue
		}
		banner := make([]byte, 4)
		_, err = c.Read(banner)
		_ = c.Close()
		if err == nil {
			return
		}
	}
	log, _ := os.ReadFile(out.Name())
	m.t.Errorf("sshd doesn't answer: %s", log)
}

// stop ends the operating system.
func (m *machine) stop(dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = dead
	if m.sshd != nil {
		_ = m.sshd.Process.Kill()
		_ = m.sshd.Wait()
		m.sshd = nil
	}
	if m.hollow == nil {
		m.hollow = openHollow(m.t, m.port)
	}
}

// listen is the network card: a magic packet for it starts the machine.
func (m *machine) listen() {
	b := make([]byte, 1024)
	mac, _ := net.ParseMAC(m.access.MAC)
	magic := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, 16)...)
	for {
		n, _, err := m.wakes.ReadFrom(b)
		if err != nil {
			return
		}
		if !bytes.Equal(b[:n], magic) {
			m.t.Errorf("no magic packet for the machine: %x", b[:n])
			continue
		}
		m.mu.Lock()
		sleeps := m.sshd == nil && !m.dead
		m.mu.Unlock()
		if sleeps {
			m.record("host-power-on")
			m.boot()
		}
	}
}

// obey is the operating system: it does what shutdown was asked for.
func (m *machine) obey() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-m.stopping:
			return
		case <-tick.C:
		}
		path := filepath.Join(m.dir, "asked")
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_ = os.Remove(path)
		m.stop(false)
		if strings.TrimSpace(string(b)) == "-r" {
			m.boot()
		}
	}
}

// mark changes what shutdown does: refuses, hangsup.
func (m *machine) mark(name string) {
	if err := os.WriteFile(filepath.Join(m.dir, name), nil, 0o600); err != nil {
		m.t.Error(err)
	}
}

func (m *machine) record(op string) {
	f, err := os.OpenFile(filepath.Join(m.dir, "ledger"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, op)
		_ = f.Close()
	}
	if err != nil {
		m.t.Error(err)
	}
}

func (m *machine) effects(op string) int {
	b, err := os.ReadFile(filepath.Join(m.dir, "ledger"))
	if err != nil {
		m.t.Error(err)
	}
	n := 0
	for _, line := range strings.Fields(string(b)) {
		if op == "" || line == op {
			n++
		}
	}
	return n
}

// hollow is a port on which nothing answers: its queue of connections is full,
// so the kernel drops what comes.
type hollow struct {
	fd    int
	conns []int
}

func openHollow(t *testing.T, port int) *hollow {
	fail := func(err error) {
		if err != nil {
			t.Errorf("a port that doesn't answer: %v", err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	fail(err)
	h := &hollow{fd: fd}
	fail(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	addr := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	fail(syscall.Bind(fd, addr))
	fail(syscall.Listen(fd, 0))
	for range 4 {
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		fail(err)
		_ = syscall.Connect(c, addr)
		h.conns = append(h.conns, c)
	}
	return h
}

func (h *hollow) close() {
	if h == nil {
		return
	}
	for _, c := range h.conns {
		_ = syscall.Close(c)
	}
	_ = syscall.Close(h.fd)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// open makes a driver with short waits.
func open(w map[string]*machine) *Driver {
	d := New("wol", func(name string) (Machine, bool) {
		m, ok := w[name]
		if !ok {
			return Machine{}, false
		}
		return m.access, true
	}, 5*time.Second)
	d.dial, d.quiet = 150*time.Millisecond, 300*time.Millisecond
	return d
}
