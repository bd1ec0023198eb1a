// Package netswitch is what drivers of network switches share: every question
// about a switch is one look at all of it.
package netswitch

import (
	"context"
	"fmt"
	"strings"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// View is a switch at one moment.
type View struct {
	VLANs []drivers.VLAN
	Ports []drivers.Port
}

// Reader implements what drivers.Switch reads.
type Reader struct {
	System string // name in errors
	// Look reads the switch. Its errors are those of package fault.
	Look func(ctx context.Context) (View, error)
}

// VLANs implements drivers.Switch.
func (r Reader) VLANs(ctx context.Context) ([]drivers.VLAN, error) {
	v, err := r.Look(ctx)
	return v.VLANs, fault.At(r.System, "read-vlans", r.System, err)
}

// Ports implements drivers.Switch.
func (r Reader) Ports(ctx context.Context) ([]drivers.Port, error) {
	v, err := r.Look(ctx)
	return v.Ports, fault.At(r.System, "read-ports", r.System, err)
}

// Port implements drivers.Switch.
func (r Reader) Port(ctx context.Context, name string) (p drivers.Port, err error) {
	v, err := r.Look(ctx)
	if err == nil {
		p, err = Find(v.Ports, name, func(p drivers.Port) string { return p.Name })
	}
	return p, fault.At(r.System, "read-port", name, err)
}

// Find finds a port of a switch by its name. KindNotFound, with the names that
// there are, when there is none.
func Find[P any](ports []P, name string, nameOf func(P) string) (P, error) {
	var names []string
	for _, p := range ports {
		if nameOf(p) == name {
			return p, nil
		}
		names = append(names, nameOf(p))
	}
	const most = 60
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	var none P
	return none, fault.Errorf(drivers.KindNotFound, "the switch has no such port; it has %s", strings.Join(names, ", "))
}
