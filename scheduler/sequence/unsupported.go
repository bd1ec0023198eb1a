package sequence

import (
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// The flows have steps for deployment software and load balancers. A job whose
// group asks for one that can't be carried out is refused before it begins:
// half a flow would leave a machine that looks ready and isn't. Where nothing
// asks for them the steps are skipped, with the reason.

var (
	registerDPM       = skipped(nameRegisterDPM, "the group has no DPM registration")
	unregisterDPM     = skipped(nameUnregisterDPM, "the group has no DPM registration")
	distributeRun     = skipped(nameDistributeRun, "no software is registered")
	distributeStandby = skipped(nameDistributeStandby, "no software is registered")
	lbAdd             = skipped(nameLBAdd, "the group has no load-balancing group")
	lbRemove          = skipped(nameLBRemove, "the group has no load-balancing group")
)

func skipped(name, why string) *Step {
	return &Step{Name: name, Skip: func(*Env) string { return why }}
}

// unsupported refuses a group, model or host setting that asks for what can't
// be carried out. model and host may be nil.
func unsupported(r fsm.Reader, g *schema.Group, model *schema.Model, host *schema.Host) error {
	var asks []string
	if g.GetRegisterDpm() {
		asks = append(asks, "registration with DPM (register_dpm)")
	}
	if len(g.GetLoadBalancers()) > 0 {
		asks = append(asks, "load balancing (load_balancers)")
	}
	for _, slots := range []*schema.SoftwareSlots{g.GetSoftware(), model.GetSoftware(), host.GetSoftware()} {
		for _, list := range [][]string{
			slots.GetRun(), slots.GetStandby(), slots.GetRunBefore(), slots.GetRunAfter(), slots.GetStandbyBefore(), slots.GetStandbyAfter(),
		} {
			for _, name := range list {
				if sw, ok := fsm.SoftwareItems.Get(r, name); ok && sw.Kind != schema.SoftwareTemplate {
					asks = append(asks, "distribution of the software "+name)
				}
			}
		}
	}
	if len(asks) == 0 {
		return nil
	}
	return schema.Errorf(schema.KindNotStarted, "group "+g.GetName(), "it asks for %s, and no system that does it is connected", strings.Join(asks, ", ")).
		WithHint("take that off the group, model and host setting, or do the work by hand")
}
