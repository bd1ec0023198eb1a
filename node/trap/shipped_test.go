package trap

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// shippedRules are the rules of a new cluster.
func shippedRules(t *testing.T) (*Rules, []*schema.TrapRule) {
	t.Helper()
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Bootstrap(tx, fsm.BootstrapSpec{Admin: "admin", AdminHash: []byte("hash"), Cluster: "c1"})
	})
	rows := slices.Collect(fsm.TrapRules.All(c.Store().View()))
	rules, problems := Compile(rows)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return rules, rows
}

// message encodes a v2c trap with texts, or numbers where a text is one.
func message(t *testing.T, oid string, varbinds ...string) []byte {
	t.Helper()
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.SNMPv2Trap, RequestID: 1, Variables: []gosnmp.SnmpPDU{
		{Name: "." + oidSysUpTime, Type: gosnmp.TimeTicks, Value: uint32(1)}, {Name: "." + oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: "." + oid},
	}}
	for i := 0; i < len(varbinds); i += 2 {
		v := gosnmp.SnmpPDU{Name: "." + varbinds[i], Type: gosnmp.OctetString, Value: varbinds[i+1]}
		if n, err := strconv.Atoi(varbinds[i+1]); err == nil {
			v.Type, v.Value = gosnmp.Integer, n
		}
		p.Variables = append(p.Variables, v)
	}
	b, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is a notification, and what a shipped rule makes of it.
type vector struct {
	rule, oid, id, severity string
	target, text            string // empty: the agent; any text
	varbinds                []string
}

// vectors has at least one for each shipped rule.
var vectors = []vector{
	{rule: "snmp-coldStart", oid: "1.3.6.1.6.3.1.1.5.1", id: "coldStart", severity: "info"},
	{rule: "snmp-warmStart", oid: "1.3.6.1.6.3.1.1.5.2", id: "warmStart", severity: "info"},
	{rule: "snmp-linkDown", oid: "1.3.6.1.6.3.1.1.5.3", id: "linkDown", severity: "warning", text: "A link went down: interface 7",
		varbinds: []string{"1.3.6.1.2.1.2.2.1.1.7", "7", "1.3.6.1.2.1.2.2.1.7.7", "1", "1.3.6.1.2.1.2.2.1.8.7", "2"}},
	{rule: "snmp-linkUp", oid: "1.3.6.1.6.3.1.1.5.4", id: "linkUp", severity: "info", text: "A link came up: interface 7", varbinds: []string{"1.3.6.1.2.1.2.2.1.1.7", "7"}},
	{rule: "snmp-authenticationFailure", oid: "1.3.6.1.6.3.1.1.5.5", id: "authenticationFailure", severity: "warning"},
	{rule: "esmpro", oid: "1.3.6.1.4.1.119.2.2.4.4.0.1", id: "0xC0000002", target: "esx02", text: "no answer", varbinds: []string{
		"1.3.6.1.4.1.119.2.2.4.4.100.1", "ESMDSVNT", "1.3.6.1.4.1.119.2.2.4.4.100.2", "0xC0000002", "1.3.6.1.4.1.119.2.2.4.4.100.3", "esx02", "1.3.6.1.4.1.119.2.2.4.4.100.4", "no answer"}},
	{rule: "ipmi-pet", oid: "1.3.6.1.4.1.3183.1.1.0.1208065", id: "1.3.6.1.4.1.3183.1.1.0.1208065", severity: "warning"}, // a button: sensor type 14h isn't in the list
	{rule: "ipmi-pet-temperature-high-warning", oid: "1.3.6.1.4.1.3183.1.1.0.65799", id: "temperature-high-warning", severity: "warning"},
	{rule: "ipmi-pet-temperature-high-warning-over", oid: "1.3.6.1.4.1.3183.1.1.0.65927", id: "temperature-high-warning-over", severity: "info"},
	{rule: "ipmi-pet-temperature-high", oid: "1.3.6.1.4.1.3183.1.1.0.65801", id: "temperature-high", severity: "error"},
	{rule: "ipmi-pet-temperature-high-over", oid: "1.3.6.1.4.1.3183.1.1.0.65929", id: "temperature-high-over", severity: "info"},
	{rule: "ipmi-pet-temperature-low", oid: "1.3.6.1.4.1.3183.1.1.0.65794", id: "temperature-low", severity: "error"},
	{rule: "ipmi-pet-temperature-low-over", oid: "1.3.6.1.4.1.3183.1.1.0.65922", id: "temperature-low-over", severity: "info"},
	{rule: "ipmi-pet-voltage-low", oid: "1.3.6.1.4.1.3183.1.1.0.131330", id: "voltage-low", severity: "error"},
	{rule: "ipmi-pet-voltage-low-over", oid: "1.3.6.1.4.1.3183.1.1.0.131458", id: "voltage-low-over", severity: "info"},
	{rule: "ipmi-pet-voltage-high", oid: "1.3.6.1.4.1.3183.1.1.0.131337", id: "voltage-high", severity: "error"},
	{rule: "ipmi-pet-voltage-high-over", oid: "1.3.6.1.4.1.3183.1.1.0.131465", id: "voltage-high-over", severity: "info"},
	{rule: "ipmi-pet-fan-slow", oid: "1.3.6.1.4.1.3183.1.1.0.262402", id: "fan-slow", severity: "error"},
	{rule: "ipmi-pet-fan-slow-over", oid: "1.3.6.1.4.1.3183.1.1.0.262530", id: "fan-slow-over", severity: "info"},
	{rule: "ipmi-pet-chassis-open", oid: "1.3.6.1.4.1.3183.1.1.0.356096", id: "chassis-open", severity: "warning"},
	{rule: "ipmi-pet-chassis-open-over", oid: "1.3.6.1.4.1.3183.1.1.0.356224", id: "chassis-open-over", severity: "info"},
	{rule: "ipmi-pet-processor-error", oid: "1.3.6.1.4.1.3183.1.1.0.487168", id: "processor-error", severity: "error"},
	{rule: "ipmi-pet-processor-error-over", oid: "1.3.6.1.4.1.3183.1.1.0.487296", id: "processor-error-over", severity: "info"},
	{rule: "ipmi-pet-processor-hot", oid: "1.3.6.1.4.1.3183.1.1.0.487169", id: "processor-hot", severity: "error"},
	{rule: "ipmi-pet-processor-hot-over", oid: "1.3.6.1.4.1.3183.1.1.0.487297", id: "processor-hot-over", severity: "info"},
	{rule: "ipmi-pet-power-supply-failed", oid: "1.3.6.1.4.1.3183.1.1.0.552705", id: "power-supply-failed", severity: "error"},
	{rule: "ipmi-pet-power-supply-failed-over", oid: "1.3.6.1.4.1.3183.1.1.0.552833", id: "power-supply-failed-over", severity: "info"},
	{rule: "ipmi-pet-power-supply-failing", oid: "1.3.6.1.4.1.3183.1.1.0.552706", id: "power-supply-failing", severity: "warning"},
	{rule: "ipmi-pet-power-supply-failing-over", oid: "1.3.6.1.4.1.3183.1.1.0.552834", id: "power-supply-failing-over", severity: "info"},
	{rule: "ipmi-pet-power-input-lost", oid: "1.3.6.1.4.1.3183.1.1.0.552707", id: "power-input-lost", severity: "error"},
	{rule: "ipmi-pet-power-input-lost-over", oid: "1.3.6.1.4.1.3183.1.1.0.552835", id: "power-input-lost-over", severity: "info"},
	{rule: "ipmi-pet-memory-corrected", oid: "1.3.6.1.4.1.3183.1.1.0.814848", id: "memory-corrected", severity: "warning"},
	{rule: "ipmi-pet-memory-corrected-over", oid: "1.3.6.1.4.1.3183.1.1.0.814976", id: "memory-corrected-over", severity: "info"},
	{rule: "ipmi-pet-memory-uncorrectable", oid: "1.3.6.1.4.1.3183.1.1.0.814849", id: "memory-uncorrectable", severity: "error"},
	{rule: "ipmi-pet-memory-uncorrectable-over", oid: "1.3.6.1.4.1.3183.1.1.0.814977", id: "memory-uncorrectable-over", severity: "info"},
	{rule: "ipmi-pet-drive-fault", oid: "1.3.6.1.4.1.3183.1.1.0.880385", id: "drive-fault", severity: "error"},
	{rule: "ipmi-pet-drive-fault-over", oid: "1.3.6.1.4.1.3183.1.1.0.880513", id: "drive-fault-over", severity: "info"},
	{rule: "ipmi-pet-watchdog-reset", oid: "1.3.6.1.4.1.3183.1.1.0.2322177", id: "watchdog-reset", severity: "error"},
	{rule: "ipmi-pet-watchdog-reset-over", oid: "1.3.6.1.4.1.3183.1.1.0.2322305", id: "watchdog-reset-over", severity: "info"},
	{rule: "ups-OnBattery", oid: "1.3.6.1.2.1.33.2.1", id: "upsTrapOnBattery", severity: "warning", text: "The UPS runs on its battery, for about 12 minutes more", varbinds: []string{"1.3.6.1.2.1.33.1.2.3.0", "12"}},
	{rule: "ups-OnBattery-v1", oid: "1.3.6.1.2.1.33.2.0.1", id: "upsTrapOnBattery", severity: "warning"},
	{rule: "ups-TestCompleted", oid: "1.3.6.1.2.1.33.2.2", id: "upsTrapTestCompleted", severity: "info", text: "A test of the UPS ended: passed", varbinds: []string{"1.3.6.1.2.1.33.1.7.4.0", "passed"}},
	{rule: "ups-TestCompleted-v1", oid: "1.3.6.1.2.1.33.2.0.2", id: "upsTrapTestCompleted", severity: "info"},
	{rule: "ups-AlarmEntryAdded", oid: "1.3.6.1.2.1.33.2.3", id: "upsTrapAlarmEntryAdded", severity: "warning", text: "The UPS raises the alarm 1.3.6.1.2.1.33.1.6.3.3",
		varbinds: []string{"1.3.6.1.2.1.33.1.6.2.1.1.4", "4", "1.3.6.1.2.1.33.1.6.2.1.2.4", "1.3.6.1.2.1.33.1.6.3.3"}},
	{rule: "ups-AlarmEntryAdded-v1", oid: "1.3.6.1.2.1.33.2.0.3", id: "upsTrapAlarmEntryAdded", severity: "warning"},
	{rule: "ups-AlarmEntryRemoved", oid: "1.3.6.1.2.1.33.2.4", id: "upsTrapAlarmEntryRemoved", severity: "info"},
	{rule: "ups-AlarmEntryRemoved-v1", oid: "1.3.6.1.2.1.33.2.0.4", id: "upsTrapAlarmEntryRemoved", severity: "info"},
	{rule: "vmware-alarm-error", oid: "1.3.6.1.4.1.6876.4.3.0.203", id: "vpxdAlarmInfo", severity: "error", target: "esx02", text: "Host memory 97 %: Yellow to Red", varbinds: vcenter("Red")},
	{rule: "vmware-alarm-warning", oid: "1.3.6.1.4.1.6876.4.3.0.203", id: "vpxdAlarmInfo", severity: "warning", target: "esx02", varbinds: vcenter("yellow")},
	{rule: "vmware-alarm-info", oid: "1.3.6.1.4.1.6876.4.3.0.203", id: "vpxdAlarmInfo", severity: "info", target: "esx02", varbinds: vcenter("Green")},
	{rule: "dell-idrac-error", oid: "1.3.6.1.4.1.674.10892.5.3.2.2.0.4345", id: "PDR1016", severity: "error", target: "db01.example", text: "Drive 3 failed.", varbinds: idrac("5")},
	{rule: "dell-idrac-warning", oid: "1.3.6.1.4.1.674.10892.5.3.2.1.0.2162", id: "PDR1016", severity: "warning", target: "db01.example", varbinds: idrac("4")},
	{rule: "dell-idrac-info", oid: "1.3.6.1.4.1.674.10892.5.3.2.1.0.2163", id: "PDR1016", severity: "info", target: "db01.example", varbinds: idrac("3")},
	{rule: "hpe", oid: "1.3.6.1.4.1.232.0.1013", id: "1.3.6.1.4.1.232.0.1013", severity: "warning", target: "ph02", varbinds: []string{"1.3.6.1.2.1.1.5.0", "ph02"}},
	{rule: "hpe-cpqHeThermalTempFailed", oid: "1.3.6.1.4.1.232.0.6003", id: "cpqHeThermalTempFailed", severity: "error", target: "ph02", varbinds: []string{"1.3.6.1.2.1.1.5.0", "ph02"}},
	{rule: "hpe-cpqHeThermalTempDegraded", oid: "1.3.6.1.4.1.232.0.6004", id: "cpqHeThermalTempDegraded", severity: "warning"},
	{rule: "hpe-cpqHeThermalTempOk", oid: "1.3.6.1.4.1.232.0.6005", id: "cpqHeThermalTempOk", severity: "info"},
	{rule: "hpe-cpqHe4FltTolPowerSupplyOk", oid: "1.3.6.1.4.1.232.0.6048", id: "cpqHe4FltTolPowerSupplyOk", severity: "info"},
	{rule: "hpe-cpqHe4FltTolPowerSupplyDegraded", oid: "1.3.6.1.4.1.232.0.6049", id: "cpqHe4FltTolPowerSupplyDegraded", severity: "warning"},
	{rule: "hpe-cpqHe4FltTolPowerSupplyFailed", oid: "1.3.6.1.4.1.232.0.6050", id: "cpqHe4FltTolPowerSupplyFailed", severity: "error"},
	{rule: "lenovo-xcc", oid: "1.3.6.1.4.1.19046.11.1.158.5.0.12", id: "1.3.6.1.4.1.19046.11.1.158.5.0.12", severity: "warning"},
	{rule: "lenovo-imm", oid: "1.3.6.1.4.1.2.3.51.3.1.3.0.5", id: "1.3.6.1.4.1.2.3.51.3.1.3.0.5", severity: "warning"},
}

func vcenter(status string) []string {
	const data = "1.3.6.1.4.1.6876.4.3."
	return []string{data + "308.0", "2", data + "304.0", "Yellow", data + "305.0", status, data + "306.0", "Host memory 97 %", data + "307.0", "esx02"}
}

func idrac(status string) []string {
	const data = "1.3.6.1.4.1.674.10892.5.3.1."
	return []string{data + "1.0", "PDR1016", data + "2.0", "Drive 3 failed.", data + "3.0", status, data + "4.0", "ABC1234", data + "5.0", "db01.example", data + "6.0", "Disk.Bay.3"}
}

func TestShippedRules(t *testing.T) {
	rules, rows := shippedRules(t)
	from := netip.MustParseAddrPort("192.0.2.7:50000")
	seen := map[string]bool{}
	for _, v := range vectors {
		x, err := Explain(DefaultConfig(), rules, message(t, v.oid, v.varbinds...), from, time.Unix(1, 0))
		if err != nil {
			t.Errorf("%s: %v", v.rule, err)
			continue
		}
		e := x.Event
		target := v.target
		if target == "" {
			target = "192.0.2.7"
		}
		if e.Rule != v.rule || e.EventId != v.id || e.Severity != v.severity || e.TargetHint != target || v.text != "" && e.Text != v.text || e.Text == "" {
			t.Errorf("%s: became %s, %s, %s, target %s: %q", v.rule, e.Rule, e.EventId, e.Severity, e.TargetHint, e.Text)
		}
		seen[v.rule] = true
	}
	for _, r := range rows {
		if !seen[r.Name] {
			t.Errorf("rule %s has no test vector", r.Name)
		}
	}
}

func TestExplainSaysWhyARuleIsntTaken(t *testing.T) {
	rules, problems := Compile([]*schema.TrapRule{
		{Name: "other", Oid: "1.3.6.1.4.1.2", Notifier: "SNMP", EventId: "x"},
		{Name: "lacks", Oid: "1.3.6.1.4.1.1", Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.1.9"}}, Notifier: "SNMP", EventId: "x"},
		{Name: "value", Oid: "1.3.6.1.4.1.1", Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.1.5", Value: "8"}}, Notifier: "SNMP", EventId: "x"},
		{Name: "pattern", Oid: "1.3.6.1.4.1.1", Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.1.5", Regexp: "^8"}}, Notifier: "SNMP", EventId: "x"},
		{Name: "taken", Oid: "1.3.6.1.4.1.1", Notifier: "SNMP", EventId: "x"},
		{Name: "zlate", Oid: "1.3.6.1.4.1", Notifier: "SNMP", EventId: "x"},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	from := netip.MustParseAddrPort("192.0.2.7:50000")
	x, err := Explain(DefaultConfig(), rules, message(t, "1.3.6.1.4.1.1.0.1", "1.3.6.1.4.1.1.5.0", "7"), from, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range x.Verdicts {
		line := v.Rule + " " + strconv.FormatBool(v.Matches) + " " + v.Why
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		`lacks false it has no varbind below 1.3.6.1.4.1.1.9`,
		`other false the notification's OID isn't below 1.3.6.1.4.1.2`,
		`pattern false 1.3.6.1.4.1.1.5.0 is "7", the rule wants what matches ^8`,
		`taken true`,
		`value false 1.3.6.1.4.1.1.5.0 is "7", the rule wants "8"`,
		`zlate true rule taken comes first`,
	}
	if !slices.Equal(got, want) || x.Event.Rule != "taken" {
		t.Errorf("event by %s\n%s", x.Event.Rule, strings.Join(got, "\n"))
	}
	var d *DecodeError
	_, err = Explain(DefaultConfig(), rules, []byte{1, 2, 3}, from, time.Unix(1, 0))
	if !errors.As(err, &d) || d.Reason != Malformed {
		t.Errorf("garbage: %v", err)
	}
}
