package schema

// Kinds of VLANs [1.8.3].
const (
	VLANPort       = "port"
	VLANManagement = "management"
)

// Validate checks the row by itself, see Category.Validate.
func (v *Vlan) Validate() error {
	o := "VLAN " + v.GetName()
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
