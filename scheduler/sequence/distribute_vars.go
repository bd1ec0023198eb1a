package sequence

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"yagura/drivers"
	"yagura/fsm/schema"
)

// variables are what scripts and scenarios are told about the machine that
// they are run for and its host setting, which may be nil, under the names of
// the manual [1.7.1]. n and m count from 1.
func variables(m *schema.Machine, host *schema.Host) map[string]string {
	v := map[string]string{
		"PVM_HOST_NAME": m.GetName(), "PVM_HOST_UUID": m.GetUuid(), "PVM_NIC_COUNT": strconv.Itoa(len(m.GetNics())),
	}
	if host != nil {
		v["PVM_HOST_NAME"] = host.Name
	}
	tags := func(name string, list []string) {
		v["PVM_"+name+"_TAG_COUNT"] = strconv.Itoa(len(list))
		for i, tag := range list {
			v[fmt.Sprintf("PVM_%s_TAG_%d", name, i+1)] = tag
		}
	}
	tags("MACHINE", m.GetTags())
	tags("SERVER_DEFINITION", host.GetTags())
	for i, n := range m.GetNics() {
		mac := strings.ToUpper(n.Mac)
		v[fmt.Sprintf("PVM_MAC_ADDRESS_%d", i+1)] = mac
		v[fmt.Sprintf("PVM_MAC_ADDRESS_H_%d", i+1)] = strings.ReplaceAll(mac, ":", "-")
	}
	for i := range max(len(m.GetNics()), len(host.GetNics())) {
		var list []*schema.Address
		if i < len(host.GetNics()) {
			list = host.Nics[i].Addresses
		}
		v[fmt.Sprintf("PVM_IP_COUNT_%d", i+1)] = strconv.Itoa(len(list))
		var gateways []string
		for j, a := range list {
			v[fmt.Sprintf("PVM_IP_ADDRESS_%d_%d", i+1, j+1)] = a.Ip
			v[fmt.Sprintf("PVM_NETMASK_%d_%d", i+1, j+1)] = netmask(a)
			if a.Gateway != "" && !slices.Contains(gateways, a.Gateway) {
				gateways = append(gateways, a.Gateway)
			}
		}
		for j, g := range gateways {
			v[fmt.Sprintf("PVM_GATEWAY_%d_%d", i+1, j+1)] = g
		}
	}
	return v
}

// netmask is the mask of an address, such as 255.255.255.0; that of an IPv6
// address in the same form.
func netmask(a *schema.Address) string {
	ip, err := netip.ParseAddr(a.Ip)
	if err != nil {
		return ""
	}
	ones := make([]byte, ip.BitLen()/8)
	for i := range ones {
		ones[i] = 0xff
	}
	all, _ := netip.AddrFromSlice(ones)
	p, err := all.Prefix(int(a.Prefix))
	if err != nil {
		return ""
	}
	return p.Addr().String()
}

// identity is what the machine becomes under a host setting, which may be nil.
func identity(m *schema.Machine, host *schema.Host) drivers.Identity {
	id := drivers.Identity{Hostname: m.GetName()}
	if host != nil {
		id.Hostname, id.Domain, id.DNS = host.Name, host.Domain, host.Dns
	}
	for i := range max(len(m.GetNics()), len(host.GetNics())) {
		var n drivers.NICSetting
		if i < len(m.GetNics()) {
			n.MAC, n.Network = m.Nics[i].Mac, m.Nics[i].Network
		}
		if i < len(host.GetNics()) {
			h := host.Nics[i]
			if h.Network != "" {
				n.Network = h.Network
			}
			for j, a := range h.Addresses {
				if j == 0 {
					n.Address, n.Prefix, n.Gateway = a.Ip, int(a.Prefix), a.Gateway
					continue
				}
				n.More = append(n.More, drivers.NICAddress{Address: a.Ip, Prefix: int(a.Prefix), Gateway: a.Gateway})
			}
		}
		id.NICs = append(id.NICs, n)
	}
	return id
}
