// Package ovs puts ports of an Open vSwitch bridge into VLANs through its
// configuration database (OVSDB, RFC 7047; schema Open_vSwitch,
// ovs-vswitchd.conf.db(5)). It implements drivers.Switch.
//
// A port in a port-based VLAN is an access port (Port.tag); with management
// VLANs beside it, a native-untagged port whose trunks are these. A port that
// is in none gets the tag of the VLAN for unused ports: without a tag it would
// be a trunk, which carries all VLANs. Names of VLANs are kept in the bridge's
// external_ids, since Open vSwitch has none. Ports in the VLAN for unused ports
// are protected from each other; one that is in management VLANs only is a
// trunk of these.
//
// Each call is one conversation. A change is one transaction that applies only
// if the port is still as it was read, and counts as done when ovs-vswitchd
// says that it has taken it over.
package ovs
