// Package nocloud renders what a machine becomes as the files of cloud-init's
// NoCloud data source: meta-data, user-data and network-config (networking
// config version 2). Scripts and scenarios find them beside their variables; a
// machine with cloud-init takes them from its seed folder
// (/var/lib/cloud/seed/nocloud) or a volume labelled CIDATA.
//
// See https://docs.cloud-init.io, "NoCloud" and "Networking config version 2".
package nocloud

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"yagura/drivers"
)

// The names of the files.
const (
	MetaData      = "meta-data"
	UserData      = "user-data"
	NetworkConfig = "network-config"
)

// Files are the three files by name. machine is what tells the machine from
// all others, such as its UUID. The instance id is made of it and of all the
// rest: cloud-init applies the files once for each identity that the machine
// gets. The guest's password isn't in them.
func Files(machine string, id drivers.Identity) map[string]string {
	network, user := networkConfig(id), userData(id)
	sum := sha256.Sum256([]byte(machine + "\x00" + user + "\x00" + network))
	meta := fmt.Sprintf("instance-id: %s\nlocal-hostname: %s\n", quote(fmt.Sprintf("yagura-%x", sum[:8])), quote(id.Hostname))
	return map[string]string{MetaData: meta, UserData: user, NetworkConfig: network}
}

func userData(id drivers.Identity) string {
	var b strings.Builder
	b.WriteString("#cloud-config\npreserve_hostname: false\n")
	fmt.Fprintf(&b, "hostname: %s\n", quote(id.Hostname))
	if id.Domain != "" {
		fmt.Fprintf(&b, "fqdn: %s\n", quote(id.Hostname+"."+id.Domain))
	}
	b.WriteString("manage_etc_hosts: true\n")
	return b.String()
}

// networkConfig describes the NICs in their order. One whose MAC address isn't
// known goes by the kernel's traditional name, eth0 and so on.
func networkConfig(id drivers.Identity) string {
	var b strings.Builder
	b.WriteString("version: 2\n")
	if len(id.NICs) == 0 {
		return b.String()
	}
	b.WriteString("ethernets:\n")
	for i, n := range id.NICs {
		if n.MAC == "" {
			fmt.Fprintf(&b, "  eth%d:\n", i)
		} else {
			fmt.Fprintf(&b, "  nic%d:\n    match:\n      macaddress: %s\n", i+1, quote(strings.ToLower(n.MAC)))
		}
		addresses(&b, n)
		if i == 0 && (len(id.DNS) > 0 || id.Domain != "") {
			nameservers(&b, id)
		}
	}
	return b.String()
}

// addresses writes a NIC's addresses and default routes; one without any asks DHCP.
func addresses(b *strings.Builder, n drivers.NICSetting) {
	all := append([]drivers.NICAddress{{Address: n.Address, Prefix: n.Prefix, Gateway: n.Gateway}}, n.More...)
	all = slices.DeleteFunc(all, func(a drivers.NICAddress) bool { return a.Address == "" })
	if len(all) == 0 {
		b.WriteString("    dhcp4: true\n")
		return
	}
	b.WriteString("    dhcp4: false\n    addresses:\n")
	var gateways []string
	for _, a := range all {
		fmt.Fprintf(b, "      - %s\n", quote(fmt.Sprintf("%s/%d", a.Address, a.Prefix)))
		if a.Gateway != "" && !slices.Contains(gateways, a.Gateway) {
			gateways = append(gateways, a.Gateway)
		}
	}
	if len(gateways) == 0 {
		return
	}
	b.WriteString("    routes:\n")
	for _, g := range gateways {
		to := "0.0.0.0/0" // older versions don't know the word "default"
		if ip, err := netip.ParseAddr(g); err == nil && ip.Is6() {
			to = "::/0"
		}
		fmt.Fprintf(b, "      - to: %s\n        via: %s\n", quote(to), quote(g))
	}
}

func nameservers(b *strings.Builder, id drivers.Identity) {
	b.WriteString("    nameservers:\n")
	if id.Domain != "" {
		fmt.Fprintf(b, "      search:\n        - %s\n", quote(id.Domain))
	}
	if len(id.DNS) > 0 {
		b.WriteString("      addresses:\n")
		for _, s := range id.DNS {
			fmt.Fprintf(b, "        - %s\n", quote(s))
		}
	}
}

// quote makes a scalar of YAML that is a string whatever is in it, and plain
// where that is the same. A JSON string is one of YAML.
func quote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	}) < 0
	if first := s; plain && (first[0] >= 'a' && first[0] <= 'z' || first[0] >= 'A' && first[0] <= 'Z') && !reserved[strings.ToLower(s)] {
		return s
	}
	b, err := json.Marshal(s)
	if err != nil { // not for strings
		return `""`
	}
	return string(b)
}

// reserved are words that YAML 1.1 doesn't read as strings.
var reserved = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true}
