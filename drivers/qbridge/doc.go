// Package qbridge puts ports of switches into VLANs by SNMP: the Q-BRIDGE-MIB
// (RFC 4363) on top of the BRIDGE-MIB (RFC 4188) and the IF-MIB (RFC 2863). It
// implements drivers.Switch.
//
// A port is in a port-based VLAN when it is an untagged member of it
// (dot1qVlanStaticEgressPorts, dot1qVlanStaticUntaggedPorts) and frames that
// arrive untagged come into it (dot1qPvid). In a management VLAN it is a tagged
// member: a port can be untagged in one VLAN only.
//
// Each call is one conversation: it reads the switch, sends a change as one
// SetRequest, which an agent applies wholly or not at all (RFC 3416, section
// 4.2.5), and reads the switch again. DESIGN.md of package drivers says more.
package qbridge
