package qbridge

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"yagura/drivers"
)

// agent is net-snmp's snmpd, with an AgentX agent that is a switch of ten ports.
type agent struct {
	t    *testing.T
	dir  string
	addr string
	main *exec.Cmd // snmpd
}

const v3Pass = "correct horse"

// How an agent is: what is behind snmpd.
const (
	plain  = ""
	bare   = "bare"   // no switch
	serial = "serial" // a switch whose snmpSetSerialNo works, as snmpd's own doesn't
)

// startAgent starts snmpd with a switch behind it.
func startAgent(t *testing.T, how string) *agent {
	t.Helper()
	for program, pkg := range map[string]string{"snmpd": "snmpd", "perl": "perl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing; install the package %s", program, pkg)
		}
	}
	dir, err := os.MkdirTemp("", "yg") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := &agent{t: t, dir: dir, addr: freePort(t)}
	a.file("snmpd.conf", fmt.Sprintf(`agentaddress udp:%s
rwcommunity private 127.0.0.0/8
rocommunity public 127.0.0.0/8
createUser yagura SHA %q AES %q
createUser plain SHA-256 %q
rwuser yagura priv
rwuser plain auth
master agentx
agentXSocket unix:%s/ax
agentXTimeout 10
`, a.addr, v3Pass, v3Pass, v3Pass, dir))
	a.file("switch.conf", "agentxsocket unix:"+dir+"/ax\n")
	modules := "-smux,ifTable,ifXTable"
	if how == serial {
		modules += ",setSerialNo"
	}
	a.main = a.start("snmpd", "-f", "-C", "-c", dir+"/snmpd.conf", "-LF", "w", dir+"/log", "-I", modules)
	d := a.driver(Config{Password: "private"})
	if how == bare {
		a.await("snmpd", func() bool {
			_, err := d.Ports(context.Background())
			return drivers.KindOf(err) == drivers.KindUnsupported
		})
	} else {
		script, err := filepath.Abs("testdata/switch.pl")
		if err != nil {
			t.Fatal(err)
		}
		a.await("snmpd's AgentX socket", func() bool { _, err := os.Stat(dir + "/ax"); return err == nil })
		a.start("perl", script, dir, how)
		a.await("the switch", func() bool {
			list, err := d.Ports(context.Background())
			return err == nil && len(list) == 10
		})
	}
	return a
}

func freePort(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().String()
}

func (a *agent) file(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agent) start(name string, args ...string) *exec.Cmd {
	a.t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "MIBS=", "SNMPCONFPATH="+a.dir, "SNMP_PERSISTENT_DIR="+a.dir)
	var out bytes.Buffer
	c.Stderr = &out
	if err := c.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Kill()
		_ = c.Wait()
		if a.t.Failed() {
			log, _ := os.ReadFile(a.dir + "/log")
			a.t.Logf("%s wrote:\n%s\n%s", name, &out, log)
		}
	})
	return c
}

func (a *agent) await(what string, cond func() bool) {
	a.t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-end:
			a.t.Fatalf("waited in vain for %s; does perl have the package libsnmp-perl?", what)
		case <-tick.C:
		}
	}
}

// driver opens a driver on the agent, quick where c leaves times open.
func (a *agent) driver(c Config) *Driver {
	a.t.Helper()
	c.Name, c.Address = "sw1", a.addr
	if c.Timeout == 0 {
		c.Timeout = 600 * time.Millisecond
	}
	if c.Settle == 0 {
		c.Settle = 100 * time.Millisecond
	}
	d, err := Open(c)
	if err != nil {
		a.t.Fatal(err)
	}
	return d
}

// effects counts the lines of the switch's own record.
func (a *agent) effects(op, object string) int {
	data, err := os.ReadFile(filepath.Join(a.dir, "effects"))
	if err != nil && !os.IsNotExist(err) {
		a.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		got, of, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (op == "" || op == got) && (object == "" || object == of) {
			n++
		}
	}
	return n
}

// tool runs a program of net-snmp against the agent, independent of the driver.
func (a *agent) tool(name string, args ...string) string {
	a.t.Helper()
	c := exec.Command(name, append([]string{"-v2c", "-c", "private", "-OnQe", a.addr}, args...)...)
	c.Env = append(os.Environ(), "MIBS=")
	out, err := c.CombinedOutput()
	if err != nil {
		a.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

func version(t *testing.T) string {
	out, err := exec.Command("snmpd", "-v").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "version") {
			return strings.TrimSpace(line)
		}
	}
	return "net-snmp"
}

var web = drivers.VLAN{Name: "web", ID: 300}
