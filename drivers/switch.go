package drivers

import "context"

// VLAN is a VLAN of a switch; its name and id correspond one to one (manual 1.8.2).
type VLAN struct {
	Name       string
	ID         int  // 1 to 4094
	Management bool // management VLAN: a port may be in it beside its port-based VLAN (manual 1.8.3); a switch's list may not tell
}

// Port is a port of a switch and the VLANs that it belongs to.
type Port struct {
	Name string
	VLAN int   // id of its port-based VLAN; 0: in none, or in the one for unused ports
	Also []int // ids of further VLANs that it is a member of, such as a management VLAN; ascending
	Up   bool  // has link
}

// Switch puts ports of a switch into port-based VLANs. A port belongs to one of
// them at most, and may be in management VLANs besides.
type Switch interface {
	// VLANs reads the VLANs that the switch has.
	VLANs(ctx context.Context) ([]VLAN, error)
	// Ports reads all ports.
	Ports(ctx context.Context) ([]Port, error)
	// Port reads one port afresh. KindNotFound when there is none.
	Port(ctx context.Context, name string) (Port, error)
	// AddToVLAN asks for the port to be in the VLAN, which is made when the
	// switch doesn't have it. KindRefused when the port is in another
	// port-based VLAN, or when the switch knows the VLAN's name under another
	// id. The change is read back before it counts as done: KindFailed, with what
	// was read, when the switch took it and didn't do it. A task that still runs
	// has no id; Port tells its end.
	AddToVLAN(ctx context.Context, call Call, port string, vlan VLAN) (Task, error)
	// RemoveFromVLAN asks for the port not to be in the VLAN, which goes by its
	// id. A port that leaves its port-based VLAN comes into the one for unused
	// ports, where it reaches nobody.
	RemoveFromVLAN(ctx context.Context, call Call, port string, vlan VLAN) (Task, error)
	// Close ends the session.
	Close(ctx context.Context) error
}
