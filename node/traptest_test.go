package node_test

import (
	"testing"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
	"yagura/rpc/api"
)

// TestTrapTest asks what a trap would become, through the API: by the shipped
// rules, for a machine that the rows know, and nothing of it is recorded.
func TestTrapTest(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 1, nil)
	c.WaitReady()
	c.Update("put", func(tx *fsm.Tx) error {
		return fsm.Machines.Put(tx, &schema.Machine{Name: "esx02", Kind: schema.MachineVMServer})
	})
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.SNMPv2Trap, Variables: []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.2.1.1.3.0", Type: gosnmp.TimeTicks, Value: uint32(1)},
		{Name: ".1.3.6.1.6.3.1.1.4.1.0", Type: gosnmp.ObjectIdentifier, Value: esmproTrap},
		{Name: esmproData + ".1", Type: gosnmp.OctetString, Value: "ESMDSVNT"},
		{Name: esmproData + ".2", Type: gosnmp.OctetString, Value: "0xc0000002"},
		{Name: esmproData + ".3", Type: gosnmp.OctetString, Value: "esx02.example.com"},
	}}
	datagram, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	events := c.Client(0).Events
	got, err := events.TestTrap(t.Context(), &api.TestTrapRequest{Datagram: datagram, From: "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	e := got.Event
	if got.Dropped != "" || got.Version != "v2c" || got.Agent != "192.0.2.7" || len(got.Varbinds) != 3 || e.GetRule() != "esmpro" || e.Target != "esx02" ||
		e.EventId != "0xC0000002" || e.Category != "machine-inaccessible" || got.Decision.GetDecision() != schema.DecisionIgnored || got.Decision.Reason == "" {
		t.Errorf("got %v", got)
	}
	taken := 0
	for _, r := range got.Rules {
		if r.Matches {
			taken++
		} else if r.Why == "" {
			t.Errorf("rule %s doesn't say why it doesn't match", r.Rule)
		}
	}
	if taken != 1 || len(got.Rules) < 2 {
		t.Errorf("%d of %d rules match", taken, len(got.Rules))
	}
	for _, b := range [][]byte{{0x30}, datagram[:len(datagram)-1]} {
		if got, err := events.TestTrap(t.Context(), &api.TestTrapRequest{Datagram: b}); err != nil || got.Dropped != "malformed" || got.Why == "" || got.Event != nil {
			t.Errorf("a damaged datagram: %v, %v", got, err)
		}
	}
	for _, req := range []*api.TestTrapRequest{{}, {Datagram: datagram, From: "nobody"}} {
		if _, err := events.TestTrap(t.Context(), req); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%v: %v", req, err)
		}
	}
	for e := range fsm.Events.All(c.Node(0).Store().View()) {
		if e.Notifier != schema.NotifierPVM {
			t.Errorf("an event was recorded: %v", e)
		}
	}
}
