package ovs

import (
	"fmt"
	"net"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

var web = drivers.VLAN{Name: "web", ID: 300}

func TestSwitchConformance(t *testing.T) {
	t.Logf("real part: %s, user space datapath", version(t))
	drivertest.RunSwitch(t, func(t *testing.T) drivertest.SwitchWorld {
		w := start(t, "p1", "p2", "p3", "p4")
		r := newRelay(t, w.addr)
		return drivertest.SwitchWorld{
			Open: func(*testing.T) drivers.Switch { return w.driver(Config{Address: r.addr}) },
			Free: []string{"p1", "p2", "p3"}, Unused: 4094,
			Silence: func(t *testing.T) {
				if err := w.db.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			},
			Refuse:  func(*testing.T) { r.how.Store(refuse) },
			Deafen:  func(*testing.T) { r.how.Store(deaf) },
			Effects: func(_ *testing.T, op, object string) int { return w.effects(op, object) },
		}
	})
}

func must(t *testing.T, task drivers.Task, err error) {
	t.Helper()
	if err != nil || task.State != drivers.TaskDone {
		t.Fatal(task, err)
	}
}

func wants(t *testing.T, err error, k drivers.Kind, words string) {
	t.Helper()
	if drivers.KindOf(err) != k || !strings.Contains(err.Error(), words) {
		t.Fatalf("%v, want %s and %q", err, k, words)
	}
}

// TestTraffic is the proof that all of it means something: two namespaces
// reach each other only while their ports are in one VLAN.
func TestTraffic(t *testing.T) {
	w := start(t)
	d := w.driver(Config{})
	spaces := map[string]string{}
	for i, p := range []string{"a0", "b0"} {
		ns := namespace(t)
		spaces[p] = ns
		mac, other := fmt.Sprintf("02:00:00:00:00:%02d", i+1), fmt.Sprintf("02:00:00:00:00:%02d", 2-i)
		run(t, "ip", "-n", w.ns, "link", "add", p, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", ns)
		run(t, "ip", "-n", w.ns, "link", "set", p, "up")
		run(t, "ip", "-n", ns, "addr", "add", fmt.Sprintf("192.0.2.%d/24", i+1), "dev", "eth0")
		run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
		// What ARP remembers of the last try would tell in this one.
		run(t, "ip", "-n", ns, "neigh", "add", fmt.Sprintf("192.0.2.%d", 2-i), "lladdr", other, "dev", "eth0", "nud", "permanent")
		run(t, "ip", "netns", "exec", ns, "ethtool", "-K", "eth0", "tx", "off")
		w.vsctl("add-port", bridgeName, p, "tag=4094")
	}
	var ln net.Listener
	within(t, spaces["b0"], func() (err error) {
		ln, err = net.Listen("tcp", "192.0.2.2:7000")
		return err
	})
	t.Cleanup(func() { _ = ln.Close() })
	reach := func(patience time.Duration) (ok bool) {
		within(t, spaces["a0"], func() error {
			c, err := net.DialTimeout("tcp", ln.Addr().String(), patience)
			if ok = err == nil; ok {
				_ = c.Close()
			}
			return nil
		})
		return ok
	}
	check := func(when string, want bool) {
		t.Helper()
		if want {
			if !reach(20 * time.Second) {
				t.Fatalf("%s: they don't reach each other", when)
			}
			return
		}
		// The switch's thread that forgets flows may starve on a busy machine.
		for end := time.Now().Add(10 * time.Second); reach(500 * time.Millisecond); {
			if time.Now().After(end) {
				t.Fatalf("%s: they reach each other", when)
			}
		}
	}
	add := func(p string, v drivers.VLAN) {
		t.Helper()
		task, err := d.AddToVLAN(t.Context(), drivers.Call{Token: "t"}, p, v)
		must(t, task, err)
	}
	remove := func(p string, v drivers.VLAN) {
		t.Helper()
		task, err := d.RemoveFromVLAN(t.Context(), drivers.Call{Token: "t"}, p, v)
		must(t, task, err)
	}
	add("a0", web)
	check("one is in the VLAN", false)
	add("b0", web)
	check("both are in the VLAN", true)
	remove("b0", web)
	check("one left", false)
	remove("a0", web)
	check("both left", false)
	add("a0", web)
	add("b0", drivers.VLAN{Name: "db", ID: 20})
	check("two VLANs", false)
	// A management VLAN beside it doesn't mix the untagged traffic.
	mgmt := drivers.VLAN{Name: "mgmt", ID: 4000, Management: true}
	add("a0", mgmt)
	if tagged(t, spaces["a0"], spaces["b0"], mgmt.ID, 500*time.Millisecond) {
		t.Fatal("tagged frames reach a port that isn't in the management VLAN")
	}
	add("b0", mgmt)
	check("a common management VLAN", false)
	if !tagged(t, spaces["a0"], spaces["b0"], mgmt.ID, 20*time.Second) {
		t.Fatal("tagged frames don't pass the management VLAN")
	}
	if tagged(t, spaces["a0"], spaces["b0"], 20, 500*time.Millisecond) {
		t.Fatal("tagged frames pass another VLAN")
	}
	remove("b0", drivers.VLAN{Name: "db", ID: 20})
	add("b0", web)
	check("both in the VLAN and the management VLAN", true)
	if got := w.vsctl("get", "port", "a0", "vlan_mode", "tag", "trunks"); got != "native-untagged\n300\n[4000]" {
		t.Fatal(got)
	}
	remove("a0", web)
	check("one left, the management VLAN stayed", false)
	remove("b0", web)
	check("both left, the management VLANs stayed", false)
	if !tagged(t, spaces["a0"], spaces["b0"], mgmt.ID, 20*time.Second) {
		t.Fatal("the management VLAN has gone too")
	}
}

// TestPortsAsTheyCome looks at ports that people set up by hand.
func TestPortsAsTheyCome(t *testing.T) {
	w := start(t)
	d := w.driver(Config{})
	for port, settings := range map[string][]string{
		"fresh": nil, "access": {"tag=7"}, "trunk": {"trunks=[8,9]"}, "unused": {"tag=4094"}, "ignored": {"tag=7", "trunks=[8]"},
		"native": {"tag=7", "vlan_mode=native-tagged", "trunks=[7,8]"}, "wide": {"tag=7", "vlan_mode=native-untagged"}, "qinq": {"tag=7", "vlan_mode=dot1q-tunnel"},
	} {
		w.vsctl(append([]string{"add-port", bridgeName, port}, append(settings, "--", "set", "interface", port, "type=internal")...)...)
	}
	w.vsctl("set", "bridge", bridgeName, "external_ids:yagura-vlan-5=five")
	for name, want := range map[string]drivers.Port{
		"fresh":   {Also: []int{5, 7, 8, 9}}, // all that the bridge knows
		"access":  {VLAN: 7},
		"trunk":   {Also: []int{8, 9}},
		"unused":  {},
		"ignored": {VLAN: 7},
		"native":  {VLAN: 7, Also: []int{8}},
		"wide":    {VLAN: 7, Also: []int{5, 8, 9}},
	} {
		p, err := d.Port(t.Context(), name)
		want.Name, want.Up = name, p.Up
		if err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%+v, %v, want %+v", p, err, want)
		}
	}
	list, err := d.VLANs(t.Context())
	if want := []drivers.VLAN{{Name: "five", ID: 5}, {ID: 7}, {ID: 8}, {ID: 9}, {ID: 4094}}; err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%v, %v", list, err)
	}
	add := func(port string, v drivers.VLAN, want string) {
		t.Helper()
		task, err := d.AddToVLAN(t.Context(), drivers.Call{}, port, v)
		must(t, task, err)
		if got := strings.ReplaceAll(w.vsctl("get", "port", port, "vlan_mode", "tag", "trunks"), "\n", " "); got != want {
			t.Errorf("%s: %s, want %s", port, got, want)
		}
	}
	add("fresh", web, "access 300 []")
	add("trunk", web, "native-untagged 300 [8, 9]")
	add("access", drivers.VLAN{Name: "seven", ID: 7}, "access 7 []")
	add("native", drivers.VLAN{Name: "seven", ID: 7}, "native-untagged 7 [8]")
	for port, words := range map[string]string{"wide": "list its trunks first", "qinq": "dot1q-tunnel", "ignored": "is in VLAN 7"} {
		_, err := d.AddToVLAN(t.Context(), drivers.Call{}, port, web)
		wants(t, err, drivers.KindRefused, words)
	}
	// Whoever carries all VLANs leaves one only by carrying none any more.
	task, err := d.RemoveFromVLAN(t.Context(), drivers.Call{}, "wide", web)
	must(t, task, err)
	if got := w.vsctl("get", "port", "wide", "vlan_mode", "tag", "trunks"); got != "access\n7\n[]" {
		t.Error(got)
	}
	_, err = d.Port(t.Context(), "nobody")
	wants(t, err, drivers.KindNotFound, "access, br0, fresh")
	_, err = w.driver(Config{Options: map[string]string{"bridge": "br9"}}).Ports(t.Context())
	wants(t, err, drivers.KindNotFound, "there are: br0")
	w.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
	_, err = d.Ports(t.Context())
	wants(t, err, drivers.KindRefused, "option bridge")
}

// TestNobodyApplies stops ovs-vswitchd: the database takes changes, and
// nothing happens. The change must not come later.
func TestNobodyApplies(t *testing.T) {
	w := start(t, "p1")
	d := w.driver(Config{Settle: 200 * time.Millisecond})
	// The daemon's process is a child of ip netns exec, or that itself by exec.
	if err := w.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web)
	wants(t, err, drivers.KindFailed, "ovs-vswitchd")
	if got := w.vsctl("--no-wait", "get", "port", "p1", "tag"); got != "4094" {
		t.Fatalf("tag %s is still wanted", got)
	}
	_, err = d.Port(t.Context(), "p1")
	wants(t, err, drivers.KindFailed, "is it running?")
	if err := w.daemon.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.await("ovs-vswitchd", func() bool { _, err := d.Port(bg(), "p1"); return err == nil })
	task, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web)
	must(t, task, err)
}
