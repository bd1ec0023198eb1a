package fsm

import "yagura/fsm/schema"

// Objects of the shipped rules.
const (
	snmpTraps  = "1.3.6.1.6.3.1.1.5"    // SNMPv2-MIB::snmpTraps (RFC 3418)
	petTraps   = "1.3.6.1.4.1.3183.1.1" // IPMI Platform Event Trap Format 1.0
	esmproTrap = "1.3.6.1.4.1.119.2.2.4.4.0.1"
	esmproData = "1.3.6.1.4.1.119.2.2.4.4.100"
)

// general is the priority of rules for what more exact shipped ones leave over.
const general = -1

// shippedTrapRules are the rules of a new cluster. None has a priority above 0,
// so that a site's own rule comes first.
func shippedTrapRules() []*schema.TrapRule {
	out := []*schema.TrapRule{
		{
			Name: "esmpro", Oid: esmproTrap, Builtin: true,
			Description: "Events of ESMPRO agents. The numbers are an assumption; a rule of a higher priority overrides them.",
			Match:       []*schema.VarbindMatch{{Oid: esmproData + ".1"}, {Oid: esmproData + ".2"}},
			Notifier:    schema.NotifierESMPRO,
			Source:      "${" + esmproData + ".1}",
			EventId:     "${" + esmproData + ".2}",
			Target:      "${" + esmproData + ".3}|${agent}",
			Text:        "${" + esmproData + ".4}",
		},
		{
			Name: "ipmi-pet", Oid: petTraps, Builtin: true,
			Description: "Platform event traps of management controllers that no other rule names; the last number of the OID holds sensor type, event type and offset.",
			Priority:    general,
			Notifier:    schema.NotifierSNMP, Source: "IPMI-PET", EventId: "${oid}", Target: "${agent}", Severity: "warning",
			Text: "Platform event ${oid}",
		},
	}
	for _, t := range []struct{ number, name, severity, text string }{
		{"1", "coldStart", "info", "The agent started anew; its configuration may have changed"},
		{"2", "warmStart", "info", "The agent started anew with its configuration unchanged"},
		{"3", "linkDown", "warning", "A link went down: interface ${1.3.6.1.2.1.2.2.1.1}"},
		{"4", "linkUp", "info", "A link came up: interface ${1.3.6.1.2.1.2.2.1.1}"},
		{"5", "authenticationFailure", "warning", "A request with wrong credentials came to the agent"},
	} {
		out = append(out, &schema.TrapRule{
			Name: "snmp-" + t.name, Oid: snmpTraps + "." + t.number, Builtin: true, Description: "SNMPv2-MIB::" + t.name + " (RFC 3418)",
			Notifier: schema.NotifierSNMP, Source: "SNMPv2-MIB", EventId: t.name, Target: "${agent}", Severity: t.severity, Text: t.text,
		})
	}
	for _, more := range [][]*schema.TrapRule{platformRules(), upsRules(), vmwareRules(), dellRules(), hpeRules(), lenovoRules()} {
		out = append(out, more...)
	}
	return out
}
