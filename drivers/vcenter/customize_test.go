package vcenter

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
	"yagura/drivers/sim"
)

func template(guest string, cards int) *foundVM {
	return &foundVM{rec: &vmRecord{name: "tmpl", guestID: guest, cards: make([]card, cards)}}
}

func TestCustomizationOfLinux(t *testing.T) {
	got, err := customization(template("otherLinux64Guest", 3), drivers.Identity{
		Hostname: "web13", Domain: "example.test", DNS: []string{"192.0.2.53"},
		NICs: []drivers.NICSetting{
			{Address: "192.0.2.13", Prefix: 23, Gateway: "192.0.3.1"},
			{Address: "2001:db8::13", Prefix: 64, Gateway: "fe80::1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	utc := true
	want := &types.CustomizationSpec{
		Identity: &types.CustomizationLinuxPrep{
			HostName: &types.CustomizationFixedName{Name: "web13"}, Domain: "example.test", HwClockUTC: &utc,
		},
		GlobalIPSettings: types.CustomizationGlobalIPSettings{DnsServerList: []string{"192.0.2.53"}, DnsSuffixList: []string{"example.test"}},
		NicSettingMap: []types.CustomizationAdapterMapping{
			{Adapter: types.CustomizationIPSettings{
				Ip: &types.CustomizationFixedIp{IpAddress: "192.0.2.13"}, SubnetMask: "255.255.254.0", Gateway: []string{"192.0.3.1"},
			}},
			{Adapter: types.CustomizationIPSettings{
				Ip: &types.CustomizationDhcpIpGenerator{},
				IpV6Spec: &types.CustomizationIPSettingsIpV6AddressSpec{
					Ip:      []types.BaseCustomizationIpV6Generator{&types.CustomizationFixedIpV6{IpAddress: "2001:db8::13", SubnetMask: 64}},
					Gateway: []string{"fe80::1"},
				},
			}},
			{Adapter: types.CustomizationIPSettings{Ip: &types.CustomizationDhcpIpGenerator{}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if got, err = customization(template("rhel9_64Guest", 0), drivers.Identity{Hostname: "a"}); err != nil {
		t.Fatal(err)
	}
	if d := got.Identity.(*types.CustomizationLinuxPrep).Domain; d == "" {
		t.Fatal("a Linux guest got no domain, which vCenter refuses")
	}
}

func TestCustomizationOfWindows(t *testing.T) {
	id := drivers.Identity{Hostname: "win1", Domain: "example.test", DNS: []string{"192.0.2.53"}, Password: "P4ss"}
	got, err := customization(template("windows2019srv_64Guest", 1), id)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := got.Identity.(*types.CustomizationSysprep)
	if !ok || s.GuiUnattended.Password.Value != "P4ss" || s.UserData.ComputerName.(*types.CustomizationFixedName).Name != "win1" {
		t.Fatalf("%+v", got.Identity)
	}
	if a := got.NicSettingMap[0].Adapter; a.DnsDomain != "example.test" || !slices.Equal(a.DnsServerList, id.DNS) {
		t.Fatalf("%+v", a)
	}
	id.Password = ""
	_, err = customization(template("windows2019srv_64Guest", 1), id)
	if err == nil {
		t.Fatal("a Windows guest without a password was accepted (manual 5.2.15)")
	}
}

func TestCustomizationRefusesBadAddresses(t *testing.T) {
	for name, id := range map[string]drivers.Identity{
		"no host name":      {NICs: []drivers.NICSetting{{}}},
		"no address":        {Hostname: "a", NICs: []drivers.NICSetting{{Address: "192.0.2.300", Prefix: 24}}},
		"no prefix":         {Hostname: "a", NICs: []drivers.NICSetting{{Address: "192.0.2.3"}}},
		"long prefix":       {Hostname: "a", NICs: []drivers.NICSetting{{Address: "192.0.2.3", Prefix: 33}}},
		"bad gateway":       {Hostname: "a", NICs: []drivers.NICSetting{{Address: "192.0.2.3", Prefix: 24, Gateway: "gw"}}},
		"gateway of family": {Hostname: "a", NICs: []drivers.NICSetting{{Address: "192.0.2.3", Prefix: 24, Gateway: "fe80::1"}}},
	} {
		if got, err := customization(template("", 1), id); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
	if got, err := customization(template("", 1), drivers.Identity{}); err != nil || got != nil {
		t.Errorf("no identity gave %+v, %v", got, err)
	}
}

// A card beyond those of the template is added, and gets its address from
// what the identity says or from DHCP.
func TestCloneAddsCards(t *testing.T) {
	s := startSim(t, sim.Config{})
	d := open(t, configFor(t, s))
	ctx := context.Background()
	tmpl := mustVM(t, d, "tmpl-web")
	network := tmpl.NICs[0].Network
	spec := drivers.CloneSpec{
		Template: "tmpl-web", Name: "web13", Server: "esx02", PowerOn: true,
		Identity: drivers.Identity{Hostname: "web13", Password: "hidden-secret", NICs: []drivers.NICSetting{
			{Address: "192.0.2.13", Prefix: 24}, {Network: network, Address: "192.0.2.14", Prefix: 24},
		}},
	}
	task, err := d.Clone(ctx, drivers.Call{Token: "c"}, spec)
	if err == nil {
		task, err = drivers.AwaitTask(ctx, d, task.ID, time.Millisecond)
	}
	if err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	v, err := d.VM(ctx, task.Result)
	if err != nil || len(v.NICs) != 2 || v.NICs[0].MAC == v.NICs[1].MAC || v.NICs[1].Network != network ||
		!slices.Contains(v.IPs, "192.0.2.13") || !slices.Contains(v.IPs, "192.0.2.14") {
		t.Fatalf("%+v %v", v, err)
	}
	spec.Name, spec.Identity.NICs[1].Network = "web14", "no such network"
	_, err = d.Clone(ctx, drivers.Call{Token: "d"}, spec)
	wantKind(t, err, drivers.KindRefused)
	if strings.Contains(err.Error(), "hidden-secret") {
		t.Fatal(err)
	}
}
