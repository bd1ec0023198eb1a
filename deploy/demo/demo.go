// Package demo holds the inventory of the demo: documents as `pvmutl apply`
// takes them, with the few values that differ from run to run filled in.
package demo

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"yagura/fsm/catalog"
)

//go:embed *.yaml.tmpl
var files embed.FS

// Values are what a run of the demo fills in.
type Values struct {
	VCenter, VCenterUser, VCenterPassword string            // URL and account of the simulated vCenter
	BMC                                   map[string]string // URL of each VM server's BMC
	BMCUser, BMCPassword                  string
	CA                                    string // PEM of the CA that signed them all
	Servers, VMs                          []string
	Spares                                []string // unused host settings for new VMs

	Switch, SwitchCommunity string // HOST:PORT and community of the simulated switch
	Balancer                string // HOST:PORT of the simulated balancer
	ArrayTool               string // command line of the simulated array's tool
	VLAN                    int    // of the database hosts
	Hosts                   []Host
	Physical                []Physical
}

// Host is a host setting for a physical machine.
type Host struct {
	Name, Address, Volume string
}

// Physical is a physical machine. One without a host waits: in the pool of the
// databases, or in the common pool.
type Physical struct {
	Name, UUID, MAC, Port, Initiator string
	Host                             string
	Pool                             bool
}

// ReplaceRules are the rules of the standard policy, with replacement of
// machines that don't answer.
func (Values) ReplaceRules() []catalog.Rule {
	var out []catalog.Rule
	for _, p := range catalog.Policies() {
		if p.Name != "standard" {
			continue
		}
		for _, r := range p.Rules {
			if r.Name == "Machine inaccessible" {
				r.Actions = append(slices.Clone(r.Actions), "replace-machine")
			}
			out = append(out, r)
		}
	}
	return out
}

// Names of the inventories: what can be declared at once, and the machines
// that must have been collected before.
const (
	Base     = "base.yaml"
	Machines = "machines.yaml"
	Metal    = "physical.yaml" // the physical machines and what moves with them
)

// Render gives one inventory with its values filled in.
func Render(name string, v Values) ([]byte, error) {
	t, err := template.New(name+".tmpl").Funcs(template.FuncMap{
		"indent": func(n int, s string) string {
			return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+strings.Repeat(" ", n))
		},
		"join":  strings.Join,
		"quote": func(s string) string { return fmt.Sprintf("%q", s) },
	}).Option("missingkey=error").ParseFS(files, name+".tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}
