package ovs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vswitch is a real Open vSwitch in user space, in a network namespace of its own.
type vswitch struct {
	t          *testing.T
	dir, ns    string
	addr       string // 127.0.0.1:PORT of ovsdb-server
	db, daemon *exec.Cmd
}

var spaces atomic.Int32 // numbers namespaces

// namespace makes a network namespace that goes with the test.
func namespace(t *testing.T) string {
	t.Helper()
	ns := fmt.Sprintf("yg-ovs-%d-%d", os.Getpid(), spaces.Add(1))
	run(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
	run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	return ns
}

// within runs f in a network namespace; sockets that it makes stay there.
func within(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with the goroutine.
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + ns)
		if err == nil {
			if err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err == nil {
				err = f()
			}
			_ = file.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// tagged tells whether frames with a VLAN tag get from one namespace into
// another within so long.
func tagged(t *testing.T, from, to string, vlan int, patience time.Duration) (ok bool) {
	t.Helper()
	socket := func(ns string, use func(fd int) error) {
		within(t, ns, func() error {
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			all := int(htons(unix.ETH_P_ALL))
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
			if err != nil {
				return err
			}
			defer func() { _ = unix.Close(fd) }()
			if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: eth0.Index}); err != nil {
				return err
			}
			return use(fd)
		})
	}
	payload := fmt.Sprintf("yagura VLAN %d", vlan)
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x81, 0, byte(vlan >> 8), byte(vlan), 0x88, 0xb5}
	frame = append(frame, payload...)
	frame = append(frame, make([]byte, 64)...)
	socket(to, func(in int) error {
		if err := unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
			return err
		}
		buf := make([]byte, 2048)
		for end := time.Now().Add(patience); !ok && time.Now().Before(end); {
			socket(from, func(out int) error { return unix.Send(out, frame, 0) })
			for {
				n, _, err := unix.Recvfrom(in, buf, 0)
				if err != nil {
					break // nothing for a while
				}
				if ok = bytes.Contains(buf[:n], []byte(payload)); ok {
					break
				}
			}
		}
		return nil
	})
	return ok
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// run runs a program to its end.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

const bridgeName = "br0"

// start starts Open vSwitch with a bridge whose ports are of type internal.
func start(t *testing.T, ports ...string) *vswitch { return startWith(t, nil, ports...) }

// startWith gives ovsdb-server further arguments.
func startWith(t *testing.T, more []string, ports ...string) *vswitch {
	t.Helper()
	for program, pkg := range map[string]string{
		"ovs-vswitchd": "openvswitch-switch", "ovsdb-server": "openvswitch-switch", "ovs-vsctl": "openvswitch-switch", "ip": "iproute2", "ethtool": "ethtool",
	} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing; install the package %s", program, pkg)
		}
	}
	dir, err := os.MkdirTemp("", "yg") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &vswitch{t: t, dir: dir, ns: namespace(t)}
	run(t, "ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := free.Addr().String()
	_ = free.Close()
	host, port, _ := net.SplitHostPort(listen)
	w.addr = listen
	w.db = w.spawn("ovsdb-server", append(more, dir+"/conf.db", "--remote=punix:"+dir+"/db", "--remote=ptcp:"+port+":"+host,
		"--unixctl="+dir+"/db.ctl", "--no-chdir", "-vconsole:off", "-vsyslog:off", "--log-file="+dir+"/db.log")...)
	w.await("ovsdb-server", func() bool { c, err := net.Dial("tcp", listen); return err == nil && c.Close() == nil })
	w.vsctl("--no-wait", "init")
	w.daemon = w.spawn("ip", "netns", "exec", w.ns, "ovs-vswitchd", "unix:"+dir+"/db", "--unixctl="+dir+"/vs.ctl", "--no-chdir", "-vconsole:off", "-vsyslog:off", "--log-file="+dir+"/vs.log")
	args := []string{"add-br", bridgeName, "--", "set", "bridge", bridgeName, "datapath_type=netdev"}
	for _, p := range ports {
		args = append(args, "--", "add-port", bridgeName, p, "tag=4094", "--", "set", "interface", p, "type=internal")
	}
	w.vsctl(args...)
	return w
}

func (w *vswitch) spawn(name string, args ...string) *exec.Cmd {
	w.t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "OVS_RUNDIR="+w.dir, "OVS_LOGDIR="+w.dir)
	var out bytes.Buffer
	c.Stderr = &out
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Kill()
		_ = c.Wait()
		if w.t.Failed() {
			log, _ := os.ReadFile(w.dir + "/vs.log")
			w.t.Logf("%s wrote: %s; %s", name, &out, log)
		}
	})
	return c
}

// vsctl runs ovs-vsctl, which waits until ovs-vswitchd has applied what it does.
func (w *vswitch) vsctl(args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(run(w.t, "ovs-vsctl", append([]string{"--db=unix:" + w.dir + "/db", "--timeout=20"}, args...)...))
}

func (w *vswitch) await(what string, cond func() bool) {
	w.t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-end:
			w.t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// driver opens a driver on the switch, quick where c leaves times open.
func (w *vswitch) driver(c Config) *Driver {
	w.t.Helper()
	c.Name = "ovs1"
	if c.Address == "" {
		c.Address = w.addr
	}
	if c.CAs == nil && !strings.HasPrefix(c.Address, "unix:") {
		c.Options = maps.Clone(c.Options)
		if c.Options == nil {
			c.Options = map[string]string{}
		}
		c.Options["transport"] = "tcp"
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	d, err := Open(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// effects counts the changes in the database's own log. Each carries the
// comment that the driver put into its transaction.
func (w *vswitch) effects(op, object string) int {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "conf.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		var entry struct {
			Comment string `json:"_comment"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		for c := range strings.Lines(entry.Comment) {
			words := strings.Fields(c)
			if len(words) >= 4 && words[0] == "yagura:" && (op == "" || words[1] == op) && (object == "" || words[2]+" "+words[3] == object) {
				n++
			}
		}
	}
	return n
}

func version(t *testing.T) string {
	first, _, _ := strings.Cut(run(t, "ovs-vswitchd", "--version"), "\n")
	return first
}

func bg() context.Context { return context.Background() }
