package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"yagura/fsm/schema"
)

// ask polls once.
func ask(t *testing.T, n *Network, target Target, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return n.Probe(ctx, target)
}

func network(t *testing.T) *Network {
	n := new(Network)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestICMP(t *testing.T) {
	n := network(t)
	for _, address := range []string{"127.0.0.1", "127.9.8.7", "localhost"} {
		if err := ask(t, n, Target{Kind: schema.MonitorICMP, Address: address}, 5*time.Second); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	done := make(chan error)
	for i := range 100 {
		go func() {
			done <- ask(t, n, Target{Kind: schema.MonitorICMP, Address: fmt.Sprintf("127.0.1.%d", i+1)}, 5*time.Second)
		}()
	}
	for range 100 {
		if err := <-done; err != nil {
			t.Errorf("many at once: %v", err)
		}
	}
	if err := ask(t, n, Target{Kind: schema.MonitorICMP, Address: "ph01.invalid"}, 5*time.Second); err == nil {
		t.Error("a name that doesn't exist (RFC 6761) answers")
	}
}

// TestICMPSilence pings in a network of its own whose only machine keeps silent.
func TestICMPSilence(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with its network
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			t.Errorf("a network namespace: %v", err)
			return
		}
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Errorf("ip: %v\n%s", err, out)
			return
		}
		n := network(t)
		target := Target{Kind: schema.MonitorICMP, Address: "127.0.0.1"}
		if err := ask(t, n, target, 5*time.Second); err != nil {
			t.Errorf("before: %v", err)
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", []byte("1"), 0); err != nil {
			t.Error(err)
			return
		}
		start := time.Now()
		if err := ask(t, n, target, 200*time.Millisecond); err == nil || time.Since(start) < 150*time.Millisecond {
			t.Errorf("after: %v in %s", err, time.Since(start))
		}
		var own *Unable
		if err := ask(t, n, Target{Kind: schema.MonitorICMP, Address: "192.0.2.1"}, time.Second); err == nil || errors.As(err, &own) {
			t.Errorf("an address without a route: %v", err)
		}
	}()
	<-done
}

func TestTCP(t *testing.T) {
	n := network(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Kind: schema.MonitorTCP, Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	if err := ask(t, n, target, 5*time.Second); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if err := ask(t, n, target, 5*time.Second); err == nil {
		t.Error("a port without a server answers")
	}
}

// TestSNMP polls net-snmp's agent.
func TestSNMP(t *testing.T) {
	program, err := exec.LookPath("snmpd")
	if err != nil {
		t.Fatal("snmpd is missing: apt-get install snmpd")
	}
	version, _ := exec.Command(program, "-v").CombinedOutput()
	t.Logf("real part: snmpd, %s", strings.TrimSpace(strings.Split(strings.TrimSpace(string(version)), "\n")[0]))
	dir := t.TempDir()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	_ = c.Close()
	conf := filepath.Join(dir, "snmpd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "agentaddress udp:127.0.0.1:%d\nrocommunity secret 127.0.0.0/8\n", port), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-f", "-C", "-c", conf, "-Lf", filepath.Join(dir, "log"), "-I", "-smux", "-p", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	n := network(t)
	target := Target{Kind: schema.MonitorSNMP, Address: "127.0.0.1", Port: port, Community: "secret"}
	for end := time.Now().Add(20 * time.Second); ; {
		if err = ask(t, n, target, 300*time.Millisecond); err == nil {
			break
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("snmpd doesn't answer: %v\n%s", err, log)
		}
	}
	wrong := target
	wrong.Community = "public"
	if err := ask(t, n, wrong, 300*time.Millisecond); err == nil {
		t.Error("it answers to another community")
	}
	stop()
	if err := ask(t, n, target, 300*time.Millisecond); err == nil {
		t.Error("it answers after its end")
	}
}

func TestUnknownKind(t *testing.T) {
	var own *Unable
	if err := ask(t, network(t), Target{Kind: "x"}, time.Second); !errors.As(err, &own) {
		t.Errorf("%v", err)
	}
}
