package fsm

import (
	"fmt"
	"strconv"

	"yagura/fsm/schema"
)

// sysName is the name that an agent has for its machine (SNMPv2-MIB).
const sysName = "1.3.6.1.2.1.1.5"

// platformEvents are platform event traps that tell of a fault, by sensor type,
// event type and offset: the specific trap is these three bytes (IPMI Platform
// Event Trap Format 1.0, section 3.2; IPMI 2.0, tables 42-2 and 42-3). The
// offset has its highest bit set when the state has ended.
var platformEvents = []struct {
	name                    string
	sensor, kind, offset    uint32
	severity, begins, after string
}{
	{"temperature-high-warning", 0x01, 0x01, 0x07, "warning", "Temperature above its upper non-critical threshold", "Temperature below its upper non-critical threshold again"},
	{"temperature-high", 0x01, 0x01, 0x09, "error", "Temperature above its upper critical threshold", "Temperature below its upper critical threshold again"},
	{"temperature-low", 0x01, 0x01, 0x02, "error", "Temperature below its lower critical threshold", "Temperature above its lower critical threshold again"},
	{"voltage-low", 0x02, 0x01, 0x02, "error", "Voltage below its lower critical threshold", "Voltage above its lower critical threshold again"},
	{"voltage-high", 0x02, 0x01, 0x09, "error", "Voltage above its upper critical threshold", "Voltage below its upper critical threshold again"},
	{"fan-slow", 0x04, 0x01, 0x02, "error", "Fan below its lower critical speed", "Fan above its lower critical speed again"},
	{"chassis-open", 0x05, 0x6f, 0x00, "warning", "Chassis opened", "Chassis closed"},
	{"processor-error", 0x07, 0x6f, 0x00, "error", "Internal error of a processor", "Internal error of a processor is over"},
	{"processor-hot", 0x07, 0x6f, 0x01, "error", "Processor shut off for its temperature", "Thermal trip of a processor is over"},
	{"power-supply-failed", 0x08, 0x6f, 0x01, "error", "Power supply failed", "Power supply works again"},
	{"power-supply-failing", 0x08, 0x6f, 0x02, "warning", "Power supply will fail soon", "Power supply expects no failure any more"},
	{"power-input-lost", 0x08, 0x6f, 0x03, "error", "Input of a power supply lost", "Input of a power supply is back"},
	{"memory-corrected", 0x0c, 0x6f, 0x00, "warning", "Memory error, corrected", "Corrected memory error is over"},
	{"memory-uncorrectable", 0x0c, 0x6f, 0x01, "error", "Memory error that can't be corrected", "Uncorrectable memory error is over"},
	{"drive-fault", 0x0d, 0x6f, 0x01, "error", "Drive failed", "Drive works again"},
	{"watchdog-reset", 0x23, 0x6f, 0x01, "error", "Watchdog reset the machine", "Watchdog reset is over"},
}

func platformRules() (out []*schema.TrapRule) {
	for _, p := range platformEvents {
		number := p.sensor<<16 | p.kind<<8 | p.offset
		for _, end := range []struct {
			suffix, severity, text string
			bit                    uint32
		}{{"", p.severity, p.begins, 0}, {"-over", "info", p.after, 0x80}} {
			out = append(out, &schema.TrapRule{
				Name: "ipmi-pet-" + p.name + end.suffix, Oid: petTraps + ".0." + strconv.FormatUint(uint64(number|end.bit), 10), Builtin: true,
				Description: fmt.Sprintf("IPMI platform event: sensor type %02Xh, event type %02Xh, offset %02Xh", p.sensor, p.kind, p.offset|end.bit),
				Notifier:    schema.NotifierSNMP, Source: "IPMI-PET", EventId: p.name + end.suffix, Target: "${agent}", Severity: end.severity, Text: end.text,
			})
		}
	}
	return out
}

// upsRules are the notifications of UPS-MIB (RFC 1628, section 3): those of
// agents that speak v2 or later, and of v1, which have a zero more.
func upsRules() (out []*schema.TrapRule) {
	const (
		traps   = "1.3.6.1.2.1.33.2"
		minutes = "1.3.6.1.2.1.33.1.2.3"     // upsEstimatedMinutesRemaining
		alarm   = "1.3.6.1.2.1.33.1.6.2.1.2" // upsAlarmDescr
		result  = "1.3.6.1.2.1.33.1.7.4"     // upsTestResultsDetail
	)
	for _, t := range []struct{ number, name, severity, text string }{
		{"1", "upsTrapOnBattery", "warning", "The UPS runs on its battery, for about ${" + minutes + "} minutes more"},
		{"2", "upsTrapTestCompleted", "info", "A test of the UPS ended: ${" + result + "}"},
		{"3", "upsTrapAlarmEntryAdded", "warning", "The UPS raises the alarm ${" + alarm + "}"},
		{"4", "upsTrapAlarmEntryRemoved", "info", "The UPS takes the alarm ${" + alarm + "} back"},
	} {
		for suffix, under := range map[string]string{"": traps, "-v1": traps + ".0"} {
			out = append(out, &schema.TrapRule{
				Name: "ups-" + t.name[len("upsTrap"):] + suffix, Oid: under + "." + t.number, Builtin: true, Description: "UPS-MIB::" + t.name + " (RFC 1628)",
				Notifier: schema.NotifierSNMP, Source: "UPS-MIB", EventId: t.name, Target: "${agent}", Severity: t.severity, Text: t.text,
			})
		}
	}
	return out
}

// bySeverity makes a rule for each value of a varbind that tells how bad it is.
func bySeverity(base *schema.TrapRule, oid string, values map[string]string) (out []*schema.TrapRule) {
	for severity, pattern := range values {
		out = append(out, &schema.TrapRule{
			Name: base.Name + "-" + severity, Oid: base.Oid, Builtin: true, Description: base.Description,
			Match:    []*schema.VarbindMatch{{Oid: oid, Regexp: pattern}},
			Notifier: base.Notifier, Source: base.Source, EventId: base.EventId, Target: base.Target, Severity: severity, Text: base.Text,
		})
	}
	return out
}

// vmwareRules are the alarms that vCenter sends as traps (VMWARE-VC-EVENT-MIB).
// They come beside those that the leader reads of vCenter itself.
func vmwareRules() []*schema.TrapRule {
	const data = "1.3.6.1.4.1.6876.4.3"
	return bySeverity(&schema.TrapRule{
		Name: "vmware-alarm", Oid: data + ".0.203", Description: "VMWARE-VC-EVENT-MIB::vpxdAlarmInfo, by the alarm's new status",
		Notifier: schema.NotifierSNMP, Source: "vCenter", EventId: "vpxdAlarmInfo", Target: "${" + data + ".307}|${agent}",
		Text: "${" + data + ".306}: ${" + data + ".304} to ${" + data + ".305}",
	}, data+".305", map[string]string{"error": "(?i)^red$", "warning": "(?i)^yellow$", "info": "(?i)^(green|gray)$"})
}

// dellRules are the alerts of Dell iDRAC (IDRAC-MIB-SMIv2): all carry the same
// varbinds, and alertCurrentStatus says how bad it is.
func dellRules() []*schema.TrapRule {
	const data = "1.3.6.1.4.1.674.10892.5.3.1"
	return bySeverity(&schema.TrapRule{
		Name: "dell-idrac", Oid: "1.3.6.1.4.1.674.10892.5.3.2", Description: "Alerts of IDRAC-MIB-SMIv2, by alertCurrentStatus",
		Notifier: schema.NotifierSNMP, Source: "iDRAC", EventId: "${" + data + ".1}|${oid}", Target: "${" + data + ".5}|${agent}", Text: "${" + data + ".2}",
	}, data+".3", map[string]string{"info": "^[123]$", "warning": "^4$", "error": "^[56]$"}) // other, unknown, ok; nonCritical; critical, nonRecoverable
}

// hpeRules are traps of HPE's health driver and iLO (CPQHLTH-MIB).
func hpeRules() []*schema.TrapRule {
	const traps = "1.3.6.1.4.1.232.0"
	rule := func(name, oid, id, severity, text string, priority int32) *schema.TrapRule {
		return &schema.TrapRule{
			Name: name, Oid: oid, Priority: priority, Builtin: true, Description: "Traps of HPE servers (CPQHLTH-MIB and others)",
			Notifier: schema.NotifierSNMP, Source: "HPE", EventId: id, Target: "${" + sysName + "}|${agent}", Severity: severity, Text: text,
		}
	}
	out := []*schema.TrapRule{rule("hpe", traps, "${oid}", "warning", "Trap ${oid} of an HPE server", general)}
	for _, t := range []struct{ number, name, severity, text string }{
		{"6003", "cpqHeThermalTempFailed", "error", "Temperature outside of its limits; the machine may be shut down"},
		{"6004", "cpqHeThermalTempDegraded", "warning", "Temperature outside of its normal range"},
		{"6005", "cpqHeThermalTempOk", "info", "Temperature normal again"},
		{"6048", "cpqHe4FltTolPowerSupplyOk", "info", "Power supply works again"},
		{"6049", "cpqHe4FltTolPowerSupplyDegraded", "warning", "Power supply degraded"},
		{"6050", "cpqHe4FltTolPowerSupplyFailed", "error", "Power supply failed"},
	} {
		out = append(out, rule("hpe-"+t.name, traps+"."+t.number, t.name, t.severity, t.text, 0))
	}
	return out
}

// lenovoRules cover the management controllers of Lenovo (XCC), and those
// before them (IMM), by their enterprise alone: a site adds rules for the traps
// that it wants to act on.
func lenovoRules() (out []*schema.TrapRule) {
	for _, m := range []struct{ name, oid, source string }{
		{"lenovo-xcc", "1.3.6.1.4.1.19046.11.1", "XCC"}, {"lenovo-imm", "1.3.6.1.4.1.2.3.51.3", "IMM"},
	} {
		out = append(out, &schema.TrapRule{
			Name: m.name, Oid: m.oid, Priority: general, Builtin: true, Description: "Traps of Lenovo's management controllers",
			Notifier: schema.NotifierSNMP, Source: m.source, EventId: "${oid}", Target: "${agent}", Severity: "warning", Text: "Trap ${oid} of a Lenovo management controller",
		})
	}
	return out
}
