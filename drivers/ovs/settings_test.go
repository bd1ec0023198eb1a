package ovs

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"yagura/drivers"
)

func TestSettings(t *testing.T) {
	opts := func(k, v string) map[string]string { return map[string]string{k: v} }
	for words, c := range map[string]Config{
		"write HOST:PORT or":        {},
		`address "sw1"`:             {Address: "sw1"},
		`address "ssl:sw1:6640"`:    {Address: "ssl:sw1:6640"},
		"write ssl or tcp":          {Address: "sw1:6640", Options: opts("transport", "udp")},
		"without the option":        {Address: "unix:/db", Options: opts("transport", "tcp")},
		`address "unix:"`:           {Address: "unix:"},
		"certificate in PEM":        {Address: "sw1:6640", Key: "nonsense"},
		`no option "port"`:          {Address: "sw1:6640", Options: opts("port", "p")},
		`unused_vlan "0"`:           {Address: "sw1:6640", Options: opts("unused_vlan", "0")},
		"not a SHA-256 digest":      {Address: "sw1:6640", Thumbprint: "12"},
		`unused_vlan "four": write`: {Address: "sw1:6640", Options: opts("unused_vlan", "four")},
	} {
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", c, err, words)
		}
	}
	d, err := Open(Config{Address: "[::1]:6640"})
	if err != nil || d.tls == nil || d.address != "[::1]:6640" || d.unused != 4094 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string][]int{
		`5`: {5}, `["set",[]]`: nil, `["set",[1,2]]`: {1, 2}, `["set",["a",2]]`: {2}, ``: nil, `[]`: nil, `["set"]`: nil, `["map",[[1,2]]]`: nil,
	} {
		if got := each[int](json.RawMessage(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if got := each[uuid](json.RawMessage(`["set",[["uuid","a"],["uuid","b"],["named-uuid","c"],["uuid"]]]`)); !reflect.DeepEqual(got, []uuid{"a", "b"}) {
		t.Errorf("%v", got)
	}
	if got, ok := one[uuid](json.RawMessage(`["uuid","a"]`)); !ok || got != "a" {
		t.Errorf("%v %v", got, ok)
	}
	if got := textMap(json.RawMessage(`["map",[["k","v"],["w"]]]`)); !reflect.DeepEqual(got, map[string]string{"k": "v"}) {
		t.Errorf("%v", got)
	}
}

// TestLostAnswer breaks the connection after a change was sent.
func TestLostAnswer(t *testing.T) {
	w := start(t, "p1")
	r := newRelay(t, w.addr)
	d := w.driver(Config{Address: r.addr})
	r.how.Store(cut)
	_, err := d.AddToVLAN(t.Context(), drivers.Call{Token: "1"}, "p1", web)
	wants(t, err, drivers.KindUnknown, "no answer to the change")
	r.how.Store(pass)
	w.await("the change", func() bool { return w.vsctl("get", "port", "p1", "tag") == "300" })
	task, err := d.AddToVLAN(t.Context(), drivers.Call{Token: "2"}, "p1", web)
	must(t, task, err)
	if n := w.effects("vlan-add", "p1 300"); n != 1 {
		t.Fatalf("%d effects", n)
	}
}

// TestOvertaken changes a port that isn't any more as it was read.
func TestOvertaken(t *testing.T) {
	w := start(t, "p1")
	d := w.driver(Config{})
	c, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	old, err := c.read(d.settings)
	if err != nil {
		t.Fatal(err)
	}
	p, err := old.port("p1")
	if err != nil {
		t.Fatal(err)
	}
	w.vsctl("set", "port", "p1", "tag=7")
	if _, err := c.apply(old, p, goal{vlan: web, in: true}, "yagura: test"); err != errOvertaken {
		t.Fatal(err)
	}
	w.vsctl("set", "port", "p1", "tag=4094", "--", "set", "bridge", bridgeName, "external_ids:yagura-vlan-301=web")
	if _, err := c.apply(old, p, goal{vlan: web, in: true}, "yagura: test"); err != errOvertaken {
		t.Fatal(err)
	}
	_, err = d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web)
	wants(t, err, drivers.KindRefused, "has the id 301")
}
