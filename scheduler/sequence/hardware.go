package sequence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// collectHardware reads what a physical machine says about itself. What
// contradicts the machine's row is explained and not merged: the management
// controller may be another machine's.
var collectHardware = &Step{
	Name: nameCollectInfo, Variant: variantPhysical,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		h, err := e.Drivers.Hardware(ctx, e.Step.Target)
		var info drivers.HardwareInfo
		if err == nil {
			info, err = h.Hardware(ctx, e.Step.Target)
		}
		if k := drivers.KindOf(err); err != nil && (k == drivers.KindUnsupported || k == drivers.KindNotFound) {
			e.set("not_read", err.Error())
			return drivers.Done(""), nil
		}
		e.Carry = info
		return drivers.Done(""), err
	}},
	Commit: func(tx *fsm.Tx, e *Env) error {
		info, ok := e.Carry.(drivers.HardwareInfo)
		if !ok {
			return nil
		}
		m, ok := fsm.Machines.Edit(tx, e.Step.Target)
		if !ok {
			return nil
		}
		if problem := contradiction(tx, m, info); problem != "" {
			e.set(OutProblem, contradicts(problem))
			fsm.LogJob(e.Job, "%s: %s", m.Name, e.Out[OutProblem])
			return nil
		}
		mergeHardware(m, info, func(text string) { fsm.LogJob(e.Job, "%s: %s", m.Name, text) })
		return fsm.Machines.Put(tx, m)
	},
	// The machine is up; that nobody can tell what it is stops nothing.
	Tolerant: func(*Env) bool { return true },
	Timeout:  time.Minute,
	Patience: 10 * time.Second,
	GivesUp:  true,
	ReadOnly: true,
}

const contradicted = "its management controller contradicts what is known of it: "

// contradicts is the status_reason of a machine whose controller may be another
// machine's. A later collection that agrees takes it away.
func contradicts(problem string) string {
	return contradicted + problem + "; nothing of that was taken over; see that the address of its BMC, its uuid and nics are right, then: pvmutl collect"
}

// contradiction says why what was read can't be about the machine of the row,
// or belongs to another one, too [1.3.1, 6.1].
func contradiction(r fsm.Reader, m *schema.Machine, info drivers.HardwareInfo) string {
	var out []string
	id := schema.NormalUUID(info.UUID)
	if !drivers.SameSystem(id, m.Uuid) {
		out = append(out, fmt.Sprintf("it reports the UUID %s, known is %s", id, m.Uuid))
	}
	if other, ok := fsm.Machines.One(r, fsm.ByUUID, id); id != "" && ok && other.Name != m.Name {
		out = append(out, fmt.Sprintf("that UUID is registered for machine %s already", other.Name))
	}
	macs := macsOf(info)
	for _, mac := range macs {
		if other, ok := fsm.Machines.One(r, fsm.ByMAC, mac); ok && other.Name != m.Name {
			out = append(out, fmt.Sprintf("its address %s is registered for machine %s already", mac, other.Name))
		}
	}
	if len(macs) > 0 && len(m.Nics) > 0 && !slices.Contains(macs, m.Nics[0].Mac) {
		out = append(out, fmt.Sprintf("it reports no NIC with the primary address %s", m.Nics[0].Mac))
	}
	if id := schema.NormalUUID(info.UUID); info.UUID != "" && id == "" {
		out = append(out, fmt.Sprintf("it reports %q for its UUID, which is none", info.UUID))
	}
	return strings.Join(out, "; ")
}

func macsOf(info drivers.HardwareInfo) []string {
	var out []string
	for _, n := range info.NICs {
		if mac := schema.NormalMAC(n.MAC); mac != "" {
			out = append(out, mac)
		}
	}
	return out
}

// mergeHardware takes over what was read. A model name that is set stays:
// it may have been set by hand [1.10.2].
func mergeHardware(m *schema.Machine, info drivers.HardwareInfo, tell func(string)) {
	if m.Uuid == "" {
		m.Uuid = schema.NormalUUID(info.UUID)
	}
	if len(m.Nics) == 0 {
		for _, mac := range macsOf(info) {
			m.Nics = append(m.Nics, &schema.NIC{Mac: mac})
		}
	}
	switch {
	case info.Model == "" || m.ModelName == info.Model:
	case m.ModelName == "":
		m.ModelName = info.Model
	default:
		tell(fmt.Sprintf("it reports the model %s; its model_name stays %s", info.Model, m.ModelName))
	}
	if info.CPUs > 0 {
		m.Cpus = int32(info.CPUs)
	}
	if info.MemoryMiB > 0 {
		m.MemoryMib = info.MemoryMiB
	}
	if (m.HardwareStatus == "" || m.HardwareStatus == schema.HardwareUnknown) && info.Health != "" {
		m.HardwareStatus = info.Health // a fault that is known stays until a person or a policy takes it back
	}
	m.Hardware = map[string]string{}
	for k, v := range map[string]string{
		"manufacturer": info.Manufacturer, "model": info.Model, "serial": info.Serial, "firmware": info.Firmware, "health": info.Health,
		"cpus": number(int64(info.CPUs)), "memory_mib": number(info.MemoryMiB),
	} {
		if v != "" {
			m.Hardware[k] = v
		}
	}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
