package demo

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestRenderGivesDocuments(t *testing.T) {
	v := Values{
		VCenter: "https://127.0.0.21:8989/sdk", VCenterUser: "u", VCenterPassword: `p"\#`, BMCUser: "admin", BMCPassword: "q",
		BMC:    map[string]string{"esx01": "https://127.0.0.31:8443", "esx02": "https://127.0.0.32:8443", "ph01": "https://127.0.0.35:8443", "ph04": "https://127.0.0.38:8443"},
		Switch: "127.0.0.21:10161", SwitchCommunity: "private", Balancer: "127.0.0.21:19999", ArrayTool: "bin/pvmd sim array", VLAN: 120,
		Hosts: []Host{{Name: "db01", Address: "127.0.0.41", Volume: "db01-data"}},
		Physical: []Physical{
			{Name: "ph01", UUID: "6a0b0000-0000-4000-8000-000000000001", MAC: "02:00:00:00:00:01", Port: "p1", Initiator: "iqn.2026-01.example:ph01", Host: "db01", Pool: true},
			{Name: "ph04", UUID: "6a0b0000-0000-4000-8000-000000000004", MAC: "02:00:00:00:00:04", Port: "p4", Initiator: "iqn.2026-01.example:ph04"},
		},
		CA: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Servers: []string{"esx01", "esx02"}, VMs: []string{"web01"}, Spares: []string{"web13"},
	}
	want := map[string]int{Base: 12, Machines: 4, Metal: 14}
	for name, n := range want {
		text, err := Render(name, v)
		if err != nil {
			t.Fatal(err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(text))
		got := 0
		for {
			var doc struct {
				Kind, Name string
				Spec       map[string]any
			}
			err := dec.Decode(&doc)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			if doc.Kind == "" || doc.Name == "" {
				t.Errorf("%s: a document without kind or name", name)
			}
			if doc.Name == "vc1" && (doc.Spec["ca"] != v.CA || doc.Spec["password"] != v.VCenterPassword) {
				t.Errorf("vc1 has ca %q and password %q", doc.Spec["ca"], doc.Spec["password"])
			}
			if bmc, ok := doc.Spec["bmc"].(map[string]any); ok && bmc["ca"] != v.CA {
				t.Errorf("%s has the CA %q", doc.Name, bmc["ca"])
			}
			got++
		}
		if got != n {
			t.Errorf("%s has %d documents, want %d\n%s", name, got, n, text)
		}
	}
}
