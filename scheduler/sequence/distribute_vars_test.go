package sequence

import (
	"maps"
	"slices"
	"testing"

	"yagura/drivers"
	"yagura/fsm/schema"
)

var (
	varsMachine = &schema.Machine{
		Name: "ph03", Uuid: "11111111-2222-3333-4444-555555555555", Tags: []string{"rack 7", "ssd"},
		Nics: []*schema.NIC{{Mac: "52:54:00:12:ab:cd", Network: "sw1"}, {Mac: "52:54:00:12:ab:ce"}},
	}
	varsHost = &schema.Host{
		Group: "db", Name: "db01", Domain: "shop.example", Dns: []string{"192.0.2.53"}, Tags: []string{"primary"},
		Nics: []*schema.HostNIC{
			{Addresses: []*schema.Address{
				{Ip: "192.0.2.11", Prefix: 24, Gateway: "192.0.2.1"}, {Ip: "192.0.2.12", Prefix: 25, Gateway: "192.0.2.1"}, {Ip: "2001:db8::11", Prefix: 64, Gateway: "2001:db8::1"},
			}},
		},
	}
)

// The variables are those of the manual's table [1.7.1].
func TestVariables(t *testing.T) {
	want := map[string]string{
		"PVM_HOST_NAME": "db01", "PVM_HOST_UUID": "11111111-2222-3333-4444-555555555555",
		"PVM_MACHINE_TAG_COUNT": "2", "PVM_MACHINE_TAG_1": "rack 7", "PVM_MACHINE_TAG_2": "ssd",
		"PVM_SERVER_DEFINITION_TAG_COUNT": "1", "PVM_SERVER_DEFINITION_TAG_1": "primary",
		"PVM_NIC_COUNT": "2", "PVM_MAC_ADDRESS_1": "52:54:00:12:AB:CD", "PVM_MAC_ADDRESS_H_1": "52-54-00-12-AB-CD",
		"PVM_MAC_ADDRESS_2": "52:54:00:12:AB:CE", "PVM_MAC_ADDRESS_H_2": "52-54-00-12-AB-CE",
		"PVM_IP_COUNT_1": "3", "PVM_IP_ADDRESS_1_1": "192.0.2.11", "PVM_NETMASK_1_1": "255.255.255.0", "PVM_GATEWAY_1_1": "192.0.2.1",
		"PVM_IP_ADDRESS_1_2": "192.0.2.12", "PVM_NETMASK_1_2": "255.255.255.128", "PVM_GATEWAY_1_2": "2001:db8::1",
		"PVM_IP_ADDRESS_1_3": "2001:db8::11", "PVM_NETMASK_1_3": "ffff:ffff:ffff:ffff::", "PVM_IP_COUNT_2": "0",
	}
	got := variables(varsMachine, varsHost)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not in the manual", name)
		}
	}
	alone := variables(&schema.Machine{Name: "ph04"}, nil)
	if alone["PVM_HOST_NAME"] != "ph04" || alone["PVM_NIC_COUNT"] != "0" || alone["PVM_SERVER_DEFINITION_TAG_COUNT"] != "0" {
		t.Errorf("without a host setting: %v", alone)
	}
}

func TestIdentity(t *testing.T) {
	id := identity(varsMachine, varsHost)
	if id.Hostname != "db01" || id.Domain != "shop.example" || len(id.NICs) != 2 || !slices.Equal(id.DNS, []string{"192.0.2.53"}) {
		t.Fatalf("%+v", id)
	}
	first := id.NICs[0]
	if first.MAC != "52:54:00:12:ab:cd" || first.Network != "sw1" || first.Address != "192.0.2.11" || first.Prefix != 24 || first.Gateway != "192.0.2.1" {
		t.Errorf("%+v", first)
	}
	if want := []drivers.NICAddress{{Address: "192.0.2.12", Prefix: 25, Gateway: "192.0.2.1"}, {Address: "2001:db8::11", Prefix: 64, Gateway: "2001:db8::1"}}; !slices.Equal(first.More, want) {
		t.Errorf("%+v, want %+v", first.More, want)
	}
	if second := id.NICs[1]; second.MAC != "52:54:00:12:ab:ce" || second.Address != "" {
		t.Errorf("%+v", second)
	}
}
