// Package demo holds the inventory of the demo: documents as `pvmutl apply`
// takes them, with the few values that differ from run to run filled in.
package demo

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
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
}

// Names of the two inventories: what can be declared at once, and the machines
// that must have been collected before.
const (
	Base     = "base.yaml"
	Machines = "machines.yaml"
)

// Render gives one inventory with its values filled in.
func Render(name string, v Values) ([]byte, error) {
	t, err := template.New(name+".tmpl").Funcs(template.FuncMap{
		"indent": func(n int, s string) string {
			return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+strings.Repeat(" ", n))
		},
		"quote": func(s string) string { return fmt.Sprintf("%q", s) },
	}).Option("missingkey=error").ParseFS(files, name+".tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}
