package schema

import "strings"

// Kinds of VLANs [1.8.3].
const (
	VLANPort       = "port"
	VLANManagement = "management"
)

// Kinds of monitoring.
const (
	MonitorICMP = "icmp"
	MonitorTCP  = "tcp"
	MonitorSNMP = "snmp"
)

// validate checks how machines are polled.
func (m *Monitoring) validate(o string) error {
	if m == nil {
		return nil
	}
	if err := firstError(
		oneOf(o, "monitoring.kind", m.Kind, false, MonitorICMP, MonitorTCP, MonitorSNMP),
		between(o, "monitoring.port", int64(m.Port), 0, 65535),
		between(o, "monitoring.interval_seconds", int64(m.IntervalSeconds), 0, 3600),
		between(o, "monitoring.misses", int64(m.Misses), 0, 1000),
	); err != nil {
		return err
	}
	switch {
	case m.Kind == MonitorTCP && m.Port == 0:
		return Errorf(KindInvalid, o, "monitoring.port is missing").WithHint("give the TCP port that answers while a machine is well")
	case m.Kind == MonitorICMP && m.Port != 0:
		return Errorf(KindInvalid, o, "monitoring.port is for the kinds tcp and snmp")
	case m.Kind != MonitorSNMP && len(m.Community) > 0:
		return Errorf(KindInvalid, o, "monitoring.community is for the kind snmp")
	}
	return nil
}

// Validate checks the row by itself, see Category.Validate.
func (v *Vlan) Validate() error {
	o := "VLAN " + v.GetName()
	if strings.Contains(v.GetName(), ":") {
		return Errorf(KindInvalid, o, "the VLAN's name has a colon in it").WithHint("a group writes NAME:N for a VLAN of its machines' NIC N")
	}
	return firstError(
		CheckName(o, "the VLAN's name", v.Name),
		between(o, "id", int64(v.Id), 1, 4094),
		oneOf(o, "kind", v.Kind, true, VLANPort, VLANManagement),
		checkText(o, "description", v.Description, MaxText),
	)
}

// Validate checks the row by itself, see Category.Validate.
func (l *LoadBalancer) Validate() error {
	o := "load balancer " + l.GetName()
	return firstError(
		CheckName(o, "the load-balancing group's name", l.Name),
		checkText(o, "subsystem", l.Subsystem, MaxName),
		checkText(o, "pool", l.Pool, MaxName),
		between(o, "port", int64(l.Port), 1, 65535),
		between(o, "drain_seconds", int64(l.DrainSeconds), 0, 3600),
		checkText(o, "description", l.Description, MaxText),
	)
}
