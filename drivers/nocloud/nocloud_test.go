package nocloud_test

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"yagura/drivers"
	"yagura/drivers/nocloud"
)

var db01 = drivers.Identity{
	Hostname: "db01", Domain: "shop.example", DNS: []string{"192.0.2.53", "2001:db8::53"}, Password: "secret",
	NICs: []drivers.NICSetting{
		{MAC: "52:54:00:12:34:56", Address: "192.0.2.11", Prefix: 24, Gateway: "192.0.2.1", More: []drivers.NICAddress{
			{Address: "192.0.2.12", Prefix: 24, Gateway: "192.0.2.1"}, {Address: "2001:db8::11", Prefix: 64, Gateway: "2001:db8::1"},
		}},
		{MAC: "52:54:00:12:34:57"},
		{Address: "198.51.100.7", Prefix: 25},
	},
}

// The documents are those that cloud-init's documentation describes: NoCloud
// takes instance-id and local-hostname, a #cloud-config, and version 2 of the
// networking config with ethernets by id.
func TestFiles(t *testing.T) {
	files := nocloud.Files("uuid-1", db01)
	var meta map[string]any
	parse(t, files[nocloud.MetaData], &meta)
	if id, _ := meta["instance-id"].(string); meta["local-hostname"] != "db01" || !strings.HasPrefix(id, "yagura-") {
		t.Errorf("meta-data %v", meta)
	}
	if !strings.HasPrefix(files[nocloud.UserData], "#cloud-config\n") {
		t.Errorf("user-data doesn't begin as cloud-init wants it: %s", files[nocloud.UserData])
	}
	var user map[string]any
	parse(t, files[nocloud.UserData], &user)
	if want := map[string]any{"preserve_hostname": false, "hostname": "db01", "fqdn": "db01.shop.example", "manage_etc_hosts": true}; !reflect.DeepEqual(user, want) {
		t.Errorf("user-data %v, want %v", user, want)
	}
	var network map[string]any
	parse(t, files[nocloud.NetworkConfig], &network)
	want := map[string]any{
		"version": 2,
		"ethernets": map[string]any{
			"nic1": map[string]any{
				"match": map[string]any{"macaddress": "52:54:00:12:34:56"}, "dhcp4": false,
				"addresses": []any{"192.0.2.11/24", "192.0.2.12/24", "2001:db8::11/64"},
				"routes": []any{
					map[string]any{"to": "0.0.0.0/0", "via": "192.0.2.1"}, map[string]any{"to": "::/0", "via": "2001:db8::1"},
				},
				"nameservers": map[string]any{"search": []any{"shop.example"}, "addresses": []any{"192.0.2.53", "2001:db8::53"}},
			},
			"nic2": map[string]any{"match": map[string]any{"macaddress": "52:54:00:12:34:57"}, "dhcp4": true},
			"eth2": map[string]any{"dhcp4": false, "addresses": []any{"198.51.100.7/25"}},
		},
	}
	if !reflect.DeepEqual(network, want) {
		t.Errorf("network-config\n%v\nwant\n%v", network, want)
	}
	for name, text := range files {
		if strings.Contains(text, "secret") {
			t.Errorf("the password is in %s", name)
		}
	}
}

// cloud-init applies an identity once: the instance id changes with it.
func TestInstanceID(t *testing.T) {
	first := nocloud.Files("uuid-1", db01)[nocloud.MetaData]
	if again := nocloud.Files("uuid-1", db01)[nocloud.MetaData]; again != first {
		t.Errorf("the same identity gives another instance: %s, %s", first, again)
	}
	other := db01
	other.DNS = nil
	for what, text := range map[string]string{
		"another machine": nocloud.Files("uuid-2", db01)[nocloud.MetaData], "other settings": nocloud.Files("uuid-1", other)[nocloud.MetaData],
	} {
		if text == first {
			t.Errorf("%s: the instance is the same", what)
		}
	}
}

// Names that YAML would read as something else stay strings.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"yes", "007", "1e3", "null", "db01: x", `a"b`, "", "x\ny", "-"} {
		var meta, user map[string]any
		files := nocloud.Files("m", drivers.Identity{Hostname: name})
		parse(t, files[nocloud.MetaData], &meta)
		parse(t, files[nocloud.UserData], &user)
		if meta["local-hostname"] != name || user["hostname"] != name {
			t.Errorf("%q becomes %#v and %#v", name, meta["local-hostname"], user["hostname"])
		}
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}
