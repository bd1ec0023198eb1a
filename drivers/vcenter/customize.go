package vcenter

import (
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// Values that a guest needs and the controller has no setting for.
const (
	defaultDomain    = "localdomain" // a Linux guest must have one (manual 5.2.19)
	defaultWorkgroup = "WORKGROUP"
	defaultOwner     = "Administrator"
	timeZoneGMT      = 85 // of Sysprep's list of time zones
)

// customization translates an identity. The zero identity needs none.
func customization(t *foundVM, id drivers.Identity) (*types.CustomizationSpec, error) {
	if id.Hostname == "" {
		if len(id.NICs) > 0 || len(id.DNS) > 0 {
			return nil, refuse("a guest that gets addresses needs a host name too")
		}
		return nil, nil
	}
	spec := &types.CustomizationSpec{}
	windows := strings.HasPrefix(strings.ToLower(t.rec.guestID), "win")
	if windows {
		if id.Password == "" {
			return nil, refuse("a Windows guest needs the administrator's password in its OS settings")
		}
		spec.Identity = sysprep(id)
		spec.Options = &types.CustomizationWinOptions{ChangeSID: true}
	} else {
		domain := id.Domain
		if domain == "" {
			domain = defaultDomain
		}
		spec.Identity = &types.CustomizationLinuxPrep{
			HostName: &types.CustomizationFixedName{Name: id.Hostname}, Domain: domain, HwClockUTC: types.NewBool(true),
		}
		spec.GlobalIPSettings.DnsServerList = id.DNS
		if id.Domain != "" {
			spec.GlobalIPSettings.DnsSuffixList = []string{id.Domain}
		}
	}
	// vCenter wants one entry for each card of the new VM, in order.
	for i := range max(len(t.rec.cards), len(id.NICs)) {
		var n drivers.NICSetting
		if i < len(id.NICs) {
			n = id.NICs[i]
		}
		ip, err := adapter(n)
		if err != nil {
			return nil, err
		}
		if windows {
			ip.DnsServerList, ip.DnsDomain = id.DNS, id.Domain
		}
		spec.NicSettingMap = append(spec.NicSettingMap, types.CustomizationAdapterMapping{Adapter: *ip})
	}
	return spec, nil
}

func sysprep(id drivers.Identity) *types.CustomizationSysprep {
	return &types.CustomizationSysprep{
		GuiUnattended: types.CustomizationGuiUnattended{
			Password: &types.CustomizationPassword{Value: id.Password, PlainText: true}, TimeZone: timeZoneGMT,
		},
		UserData: types.CustomizationUserData{
			FullName: defaultOwner, OrgName: defaultOwner,
			ComputerName: &types.CustomizationFixedName{Name: id.Hostname},
		},
		Identification: types.CustomizationIdentification{JoinWorkgroup: defaultWorkgroup},
	}
}

// adapter translates the address of one card; none means DHCP.
func adapter(n drivers.NICSetting) (*types.CustomizationIPSettings, error) {
	if n.Address == "" {
		return &types.CustomizationIPSettings{Ip: &types.CustomizationDhcpIpGenerator{}}, nil
	}
	a, err := netip.ParseAddr(n.Address)
	if err != nil {
		return nil, refuse("%q is not an IP address", n.Address)
	}
	p, err := a.Prefix(n.Prefix)
	if err != nil || n.Prefix <= 0 {
		return nil, refuse("/%d is not a prefix length for address %s", n.Prefix, n.Address)
	}
	if n.Gateway != "" {
		g, err := netip.ParseAddr(n.Gateway)
		if err != nil || g.Is4() != a.Is4() {
			return nil, refuse("%q is not a gateway for address %s", n.Gateway, n.Address)
		}
	}
	var gateway []string
	if n.Gateway != "" {
		gateway = []string{n.Gateway}
	}
	if a.Is4() {
		return &types.CustomizationIPSettings{
			Ip: &types.CustomizationFixedIp{IpAddress: n.Address}, SubnetMask: mask(p.Bits()), Gateway: gateway,
		}, nil
	}
	return &types.CustomizationIPSettings{
		Ip: &types.CustomizationDhcpIpGenerator{},
		IpV6Spec: &types.CustomizationIPSettingsIpV6AddressSpec{
			Ip:      []types.BaseCustomizationIpV6Generator{&types.CustomizationFixedIpV6{IpAddress: n.Address, SubnetMask: int32(p.Bits())}},
			Gateway: gateway,
		},
	}, nil
}

// mask writes an IPv4 prefix length as a netmask.
func mask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}
