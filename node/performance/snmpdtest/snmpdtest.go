// Package snmpdtest runs net-snmp's agent with objects that a test chooses.
package snmpdtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Community is what agents of tests answer to.
const Community = "secret"

// Agent is a running snmpd.
type Agent struct {
	Host string // the first of its addresses
	Port int
	t    testing.TB
	dir  string
}

// script answers for the subtrees below: get and get-next of the lines of a
// file, which stand in the order of their object ids.
const script = `#!/bin/sh
exec awk -v op="$1" -v oid="$2" '
op == "-g" && $1 == oid || op == "-n" && (last == oid || index($1, oid ".") == 1) { print $1; print $2; print $3; exit }
{ last = $1 }' "$(dirname "$0")/objects"
`

// Start starts an agent on hosts, addresses of this machine, at a port of its
// own choice. It ends with the test.
func Start(t testing.TB, hosts ...string) *Agent {
	t.Helper()
	program, err := exec.LookPath("snmpd")
	if err != nil {
		t.Fatal("snmpd is missing: apt-get install snmpd")
	}
	version, _ := exec.Command(program, "-v").CombinedOutput()
	t.Logf("real part: snmpd, %s", strings.TrimSpace(strings.Split(strings.TrimSpace(string(version)), "\n")[0]))
	a := &Agent{Host: hosts[0], Port: freePort(t, hosts[0]), t: t, dir: t.TempDir()}
	var listen []string
	for _, host := range hosts {
		listen = append(listen, fmt.Sprintf("udp:%s:%d", host, a.Port))
	}
	a.write("pass.sh", script)
	a.Set()
	a.write("snmpd.conf", fmt.Sprintf("agentaddress %s\nrocommunity %s 127.0.0.0/8\npass .1.3.6.1.4.1.2021 /bin/sh %s/pass.sh\npass .1.3.6.1.2.1.25 /bin/sh %s/pass.sh\n",
		strings.Join(listen, ","), Community, a.dir, a.dir))
	// The agent's own objects of these subtrees stay off.
	cmd := exec.Command(program, "-f", "-C", "-c", filepath.Join(a.dir, "snmpd.conf"), "-Lf", filepath.Join(a.dir, "log"),
		"-I", "vacm_conf,pass,system_mib", "-p", filepath.Join(a.dir, "pid"))
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+a.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a.await()
	return a
}

func freePort(t testing.TB, host string) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// await waits until the agent answers.
func (a *Agent) await() {
	a.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c := &gosnmp.GoSNMP{Target: a.Host, Port: uint16(a.Port), Community: Community, Version: gosnmp.Version2c, Timeout: 300 * time.Millisecond, Context: ctx, MaxOids: 1}
		err := c.Connect()
		if err == nil {
			_, err = c.Get([]string{".1.3.6.1.2.1.1.3.0"})
			_ = c.Conn.Close()
		}
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(a.dir, "log"))
			a.t.Fatalf("snmpd doesn't answer: %v\n%s", err, log)
		}
	}
}

// Set makes these the agent's objects, in the order of their ids: "OID TYPE
// VALUE", the types as in snmpd.conf(5), such as integer, counter, string, objectid.
func (a *Agent) Set(objects ...string) {
	a.t.Helper()
	a.write("objects.new", strings.Join(objects, "\n")+"\n")
	if err := os.Rename(filepath.Join(a.dir, "objects.new"), filepath.Join(a.dir, "objects")); err != nil {
		a.t.Fatal(err)
	}
}

// SetLoad makes it a machine with these metrics, percent: CPU by the agent's mean
// of a processor, memory in KiB, and a disk /data that its configuration names.
func (a *Agent) SetLoad(cpu, memory, disk int) {
	a.t.Helper()
	a.Set(
		fmt.Sprintf(".1.3.6.1.2.1.25.3.3.1.2.1 integer %d", cpu),
		".1.3.6.1.4.1.2021.4.5.0 integer 1000",
		fmt.Sprintf(".1.3.6.1.4.1.2021.4.6.0 integer %d", 1000-10*memory),
		".1.3.6.1.4.1.2021.9.1.2.1 string /data",
		fmt.Sprintf(".1.3.6.1.4.1.2021.9.1.9.1 integer %d", disk))
}

func (a *Agent) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}
