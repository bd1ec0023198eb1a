package sim

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/qbridge"
)

// switchWorld starts a small world with the switch sw1.
func switchWorld(t *testing.T) *Sim {
	t.Helper()
	s, err := Start(context.Background(), Config{World: &World{
		SharedDatastores: []string{"shared01"}, VMServers: []MachineSpec{{Name: "esx01"}},
		Machines: []MachineSpec{{Name: "ph01"}, {Name: "ph02", Off: true}},
		Switches: []SwitchSpec{{Name: "sw1", Machines: []string{"ph01", "ph02"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openSwitch(t *testing.T, addr string) drivers.Switch {
	t.Helper()
	d, err := qbridge.Open(qbridge.Config{
		Name: "sw1", Address: addr, Password: DefaultCommunity, Timeout: 400 * time.Millisecond, Settle: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSwitchConformance(t *testing.T) {
	drivertest.RunSwitch(t, func(t *testing.T) drivertest.SwitchWorld {
		s := switchWorld(t)
		var deaf atomic.Bool
		addr := yesMan(t, s.SwitchAddr("sw1"), &deaf)
		return drivertest.SwitchWorld{
			Open: func(t *testing.T) drivers.Switch { return openSwitch(t, addr) },
			Free: []string{"p1", "p2", "p8", "p9", "p16"}, Unused: defaultVLAN,
			Silence: func(t *testing.T) {
				if _, err := s.HostDown("sw1", false); err != nil {
					t.Fatal(err)
				}
			},
			Refuse: func(*testing.T) { s.switches[0].forbid("web", 300, "mgmt", 4000) },
			Deafen: func(*testing.T) { deaf.Store(true) },
			Effects: func(t *testing.T, op, object string) int {
				entries, err := s.Ledger()
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, e := range entries {
					if e.System == "sw1" && e.OK() && (op == "" || string(e.Op) == op) && (object == "" || e.Object == object) {
						n++
					}
				}
				return n
			},
		}
	})
}

// forbid sets dot1qVlanForbiddenEgressPorts of the default VLAN and of two
// others to all ports that aren't in them.
func (w *netSwitch) forbid(name string, id int, name2 string, id2 int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.bridge.clone()
	for id, name := range map[int]string{defaultVLAN: "default", id: name, id2: name2} {
		v, ok := next.vlans[id]
		if !ok {
			v = vlanEntry{name: name, egress: make([]byte, next.octets()), untagged: make([]byte, next.octets())}
		}
		v.forbidden = make([]byte, next.octets())
		for i := range v.forbidden {
			v.forbidden[i] = ^v.egress[i]
		}
		next.vlans[id] = v
	}
	w.bridge = next
}

// yesMan passes requests on to an agent. When the agent is to be deaf, it
// answers those that change something itself, as if it were done.
func yesMan(t *testing.T, to string, deaf *atomic.Bool) string {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = in.Close()
		wg.Wait()
	})
	out, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	wg.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			req, err := decode(buf[:n])
			if err != nil {
				t.Error(err)
				return
			}
			answer := buf
			if deaf.Load() && req.PDUType == gosnmp.SetRequest {
				req.PDUType = gosnmp.GetResponse
				answer, err = req.MarshalMsg()
			} else if _, err = out.Write(buf[:n]); err == nil {
				_ = out.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
				n, err = out.Read(buf)
				answer = buf[:n]
			}
			if err != nil {
				continue // silence is passed on too
			}
			_, _ = in.WriteTo(answer, from)
		}
	})
	return in.LocalAddr().String()
}

// netSNMP runs a program of net-snmp, which knows nothing of our code.
func netSNMP(t *testing.T, s *Sim, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing; install the package snmp", name)
	}
	c := exec.Command(name, append([]string{"-v2c", "-c", DefaultCommunity, "-OnQe", "-t1", s.SwitchAddr("sw1")}, args...)...)
	c.Env = append(os.Environ(), "MIBS=")
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestSwitchAnswersNetSNMP(t *testing.T) {
	s := switchWorld(t)
	get := func(program string, args ...string) string {
		t.Helper()
		out, err := netSNMP(t, s, program, args...)
		if err != nil {
			t.Fatalf("%s %v: %v: %s", program, args, err, out)
		}
		return out
	}
	for _, program := range []string{"snmpwalk", "snmpbulkwalk"} {
		out := get(program, ".1")
		for _, want := range []string{
			oidSystem + `.5.0 = "sw1"`, oidIfXEntry + `.1.101 = "p1"`, oidIfXEntry + `.18.102 = "ph02"`,
			oidIfEntry + ".8.101 = 1", oidIfEntry + ".8.102 = 2", oidIfEntry + ".8.116 = 2",
			oidBridge + ".4.1.2.16 = 116", oidPvid + ".16 = 1", oidVLANEntry + `.2.1 = "FF FF "`, oidSetSerial + " = 1",
		} {
			if !strings.Contains(out, want+"\n") {
				t.Errorf("%s doesn't tell %s:\n%s", program, want, out)
			}
		}
		if n := strings.Count(out, "\n") - strings.Count(out, "No more variables left"); n != 4+1+1+5+16*10+5 {
			t.Errorf("%s tells %d variables:\n%s", program, n, out)
		}
	}
	if out := get("snmpget", oidPvid+".17"); !strings.Contains(out, "No Such Instance") {
		t.Error(out)
	}
	get("snmpset", oidVLANEntry+".1.10", "s", "web", oidVLANEntry+".5.10", "i", "4", oidVLANEntry+".2.10", "x", "0080",
		oidVLANEntry+".4.1", "x", "ff7f", oidVLANEntry+".4.10", "x", "0080", oidPvid+".9", "u", "10", oidVLANEntry+".2.1", "x", "ff7f", oidSetSerial, "i", "1")
	p, err := openSwitch(t, s.SwitchAddr("sw1")).Port(t.Context(), "p9")
	if err != nil || p.VLAN != 10 || p.Also != nil {
		t.Fatal(p, err)
	}
	for why, args := range map[string][]string{
		"wrongLength":        {oidVLANEntry + ".2.10", "x", "00800000"},
		"wrongType":          {oidPvid + ".9", "i", "1"},
		"notWritable":        {oidIfEntry + ".8.101", "i", "1"},
		"inconsistentValue":  {oidPvid + ".1", "u", "10"}, // not a member
		"inconsistentName":   {oidVLANEntry + ".2.11", "x", "0000"},
		"noCreation":         {oidPvid + ".17", "u", "1"},
		"wrongValue":         {oidVLANEntry + ".5.11", "i", "9"},
		"inconsistentValue ": {oidSetSerial, "i", "1"}, // it is 2 by now
	} {
		if out, err := netSNMP(t, s, "snmpset", args...); err == nil || !strings.Contains(out, strings.TrimSpace(why)) {
			t.Errorf("%v: %v: %s, want %s", args, err, out, why)
		}
	}
	entries, err := s.Ledger()
	if err != nil || len(entries) != 1 || entries[0].System != "sw1" || entries[0].Op != OpVLANAdd || entries[0].Object != "p9 10" ||
		entries[0].Result != ResultOK || entries[0].Detail != "untagged" {
		t.Fatal(entries, err)
	}
	if sw := s.Status().Switches; len(sw) != 1 || !sw[0].Answers || len(sw[0].VLANs) != 2 || sw[0].VLANs[1].Untagged[0] != "p9" {
		t.Fatalf("%+v", sw)
	}
	if out, err := exec.Command("snmpget", "-v2c", "-c", "public", "-t0.2", "-r0", s.SwitchAddr("sw1"), oidPvid+".1").CombinedOutput(); err == nil {
		t.Errorf("a wrong community is answered: %s", out)
	}
}

func TestSwitchFaults(t *testing.T) {
	s := switchWorld(t)
	d := openSwitch(t, s.SwitchAddr("sw1"))
	web := drivers.VLAN{Name: "web", ID: 10}
	if _, err := s.Fail("vlan-add", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web); drivers.KindOf(err) != drivers.KindFailed {
		t.Fatal(err)
	}
	// Longer than the driver waits for an answer: it can't know.
	if _, err := s.Delay("vlan-add", 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web); drivers.KindOf(err) != drivers.KindUnknown {
		t.Fatal(err)
	}
	if _, err := s.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if p, err := d.Port(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		} else if p.VLAN == web.ID {
			break
		}
		select {
		case <-end:
			t.Fatal("the delayed change never comes")
		case <-tick.C:
		}
	}
	task, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web)
	if err != nil || task.State != drivers.TaskDone {
		t.Fatal(task, err)
	}
	entries, err := s.Ledger()
	if err != nil || len(entries) != 2 || !entries[0].Failed() || !entries[1].OK() {
		t.Fatal(entries, err)
	}
}

func TestSwitchWorlds(t *testing.T) {
	head := "shared_datastores: [s]\nvm_servers: [{name: esx01}]\n"
	for text, words := range map[string]string{
		"switches: [{name: esx01}]":                           "has that name already",
		"switches: [{name: sw1, machines: [ph09]}]":           `"ph09" is not of this world`,
		"switches: [{name: sw1, ports: 600}]":                 "1 to 512 are possible",
		"switches: [{name: sw1, ports: -1}]":                  "1 to 512 are possible",
		"switches: [{name: \"\"}]":                            "can't be a name",
		"switches: [{name: sw1, ports: 1, machines: [a, b]}]": "1 ports for 2 machines",
	} {
		if _, err := ParseWorld([]byte(head + text)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
	w := DemoWorld()
	l, err := w.layout()
	if err != nil || len(l.switches) != 1 || l.switches[0].Machines[3] != "ph04" {
		t.Fatal(l.switches, err)
	}
}

// TestDemoSwitch moves ports as a replacement does.
func TestDemoSwitch(t *testing.T) {
	s, err := Start(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	d, err := qbridge.Open(qbridge.Config{
		Name: "sw1", Address: s.SwitchAddr("sw1"), Password: DefaultCommunity, Options: map[string]string{"unused_vlan": strconv.Itoa(DemoUnusedVLAN)},
	})
	if err != nil {
		t.Fatal(err)
	}
	db := drivers.VLAN{Name: "shop-db", ID: DemoVLAN}
	if _, err := d.RemoveFromVLAN(t.Context(), drivers.Call{}, "p1", db); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p3", db); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Ledger()
	if err != nil || len(entries) != 2 || entries[0].Op != OpVLANRemove || entries[0].Object != "p1 120" || entries[1].Op != OpVLANAdd || entries[1].Object != "p3 120" {
		t.Fatal(entries, err)
	}
}

func TestSwitchSurvivesNonsense(t *testing.T) {
	s := switchWorld(t)
	c, err := net.Dial("udp", s.SwitchAddr("sw1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, junk := range []string{"", "\x30", "\x30\x82\xff\xff", "GET / HTTP/1.1\r\n", "\x30\x0c\x02\x01\x01\x04\x07private\xa3"} {
		if _, err := c.Write([]byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openSwitch(t, s.SwitchAddr("sw1")).Ports(t.Context()); err != nil {
		t.Fatal(err)
	}
}
