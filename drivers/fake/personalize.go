package fake

import (
	"context"
	"slices"

	"yagura/drivers"
)

// OpPersonalize gives a VM that exists another identity.
const OpPersonalize = "personalize"

var _ drivers.Personalizer = (*Hypervisor)(nil)

// Personalize implements drivers.Personalizer. A VM that has the host name and
// addresses already is left as it is.
func (h *Hypervisor) Personalize(ctx context.Context, call drivers.Call, uuid string, id drivers.Identity) (drivers.Task, error) {
	w := h.w
	c := h.vmCall(call, OpPersonalize, uuid)
	c.check = func() (bool, string, error) {
		m := w.vms[uuid]
		switch {
		case m == nil:
			return false, "", c.errorf(drivers.KindNotFound, "no such VM")
		case m.v.Template:
			return false, "", c.errorf(drivers.KindRefused, "it is a template")
		case m.v.Power != drivers.PowerOff:
			return false, "", c.errorf(drivers.KindRefused, "it is not off")
		}
		return m.v.Hostname == id.Hostname && slices.Equal(m.v.IPs, addresses(id)), "", nil
	}
	c.apply = func() string {
		m := w.vms[uuid]
		m.v.Hostname, m.v.IPs = id.Hostname, addresses(id)
		return id.Hostname
	}
	return w.run(ctx, c)
}

// addresses are those that an identity gives, in the order of the NICs.
func addresses(id drivers.Identity) []string {
	var out []string
	for _, n := range id.NICs {
		if n.Address != "" {
			out = append(out, n.Address)
		}
	}
	return out
}
