package fsm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// This file holds the rules between categories, groups, models and host
// settings, and what refers to what [1.1.2 to 1.1.4]. Errors name the field.

func noSuch(field, what, name string) *schema.Error {
	return specError("%s: there is no %s %q", field, what, name).WithHint("apply it before, or in the same call")
}

func checkCategory(r Reader, c *schema.Category) error {
	if parent := ParentCategory(c.Path); parent != "" {
		if _, ok := Categories.Get(r, parent); !ok {
			return specError("there is no category %q above it", parent).WithHint("apply it before, or in the same call")
		}
	}
	name := c.Path[strings.LastIndexByte(c.Path, '/')+1:]
	if g, ok := Groups.Get(r, name); ok && g.Category == ParentCategory(c.Path) {
		return schema.Errorf(schema.KindConflict, "", "a group of this name is in the same place").WithHint("choose another name")
	}
	return nil
}

func normalGroup(a *applying, spec map[string]any) error {
	g := a.row.(*schema.Group)
	g.Category = schema.NormalPath(g.Category)
	normalThresholds(g.Thresholds)
	parts := schema.SplitPath(a.name)
	prefix := strings.Join(parts[:len(parts)-1], "/")
	_, given := spec["category"]
	if a.old == nil {
		if prefix != "" && given && prefix != g.Category {
			return specError("category is %q, its name says %q", g.Category, prefix).WithHint("give it once")
		}
		if prefix != "" {
			g.Category = prefix
		}
		return nil
	}
	old := a.old.(*schema.Group)
	if prefix != "" && prefix != old.Category {
		return schema.Errorf(schema.KindExists, "", "a group of this name is %s; group names are unique in the system", GroupPath(old)).
			WithHint("choose another name, or name it %s to change that one", GroupPath(old))
	}
	if g.Category != old.Category && prefix == "" {
		return schema.Errorf(schema.KindExists, "", "a group of this name is in category %q; group names are unique in the system", old.Category).
			WithHint("choose another name; to move that group, write its whole path as the name")
	}
	return nil
}

func checkGroup(r Reader, g *schema.Group) error {
	if _, ok := Categories.Get(r, g.Category); g.Category != "" && !ok {
		return noSuch("category", "category", g.Category)
	}
	if _, ok := Categories.Get(r, GroupPath(g)); ok {
		return schema.Errorf(schema.KindConflict, "", "a category of this name is in the same place").WithHint("choose another name")
	}
	if err := checkPolicyName(r, g.Policy); err != nil {
		return err
	}
	if err := checkSoftwareNames(r, g.Software); err != nil {
		return err
	}
	if err := checkGroupNetwork(r, g); err != nil {
		return err
	}
	if err := checkThresholds(g.Thresholds, g.Kind); err != nil {
		return err
	}
	for i, t := range g.Templates {
		if err := checkTemplate(r, specError("templates[%d]", i).Msg, t); err != nil {
			return err
		}
	}
	return checkGroupKind(r, g)
}

// checkGroupNetwork holds a group's VLANs and load-balancing groups against
// what there is. VLANs of VMs can't be controlled [1.8.1].
func checkGroupNetwork(r Reader, g *schema.Group) error {
	if len(g.Vlans) > 0 && g.Kind == schema.MachineVM {
		return specError("vlans is for groups of physical machines: VLANs of VMs aren't controlled").WithHint("give the networks of a VM's NICs in its model or host setting")
	}
	if _, err := PortVLANs(r, g, nil); err != nil {
		return err
	}
	for h := range Hosts.By(r, ByGroup, g.Name) {
		if err := checkHostNetwork(r, g, h); err != nil {
			return schema.Errorf(schema.KindConflict, "", "host %s: %v", GroupKey(h.Group, h.Name), err)
		}
	}
	for i, name := range g.LoadBalancers {
		if _, ok := LoadBalancers.Get(r, name); !ok {
			return noSuch(fmt.Sprintf("load_balancers[%d]", i), "load-balancing group", name)
		}
	}
	return nil
}

// checkHostNetwork holds the VLANs that a host setting names for its NICs against
// its group. VLANs and storage of VMs can't be managed [1.8.1, 1.9].
func checkHostNetwork(r Reader, g *schema.Group, h *schema.Host) error {
	if g.Kind == schema.MachineVM {
		if len(h.Volumes) > 0 {
			return specError("volumes is for physical machines: the storage of VMs isn't managed")
		}
		for i, n := range h.Nics {
			if n.Vlan != "" {
				return specError("nics[%d].vlan is for physical machines: VLANs of VMs aren't controlled", i).WithHint("give the virtual network: nics[%d].network", i)
			}
		}
	}
	_, err := PortVLANs(r, g, h)
	return err
}

// checkGroupKind holds the rule that all models of a group are of one kind [1.1.3],
// and its machines, too.
func checkGroupKind(r Reader, g *schema.Group) error {
	for m := range Models.By(r, ByGroup, g.Name) {
		if m.Kind != g.Kind {
			return schema.Errorf(schema.KindConflict, "", "kind is %s, model %s/%s is for %s; all models of a group are of one kind", orNone(g.Kind), g.Name, m.Name, orNone(m.Kind))
		}
	}
	for _, index := range []string{ByGroup, ByPool} {
		for m := range Machines.By(r, index, g.Name) {
			if g.Kind != "" && m.Kind != g.Kind {
				return schema.Errorf(schema.KindConflict, "", "kind is %s, machine %s in it is a %s", g.Kind, m.Name, m.Kind)
			}
		}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func checkPolicyName(r Reader, name string) error {
	if _, ok := Policies.Get(r, name); name != "" && !ok {
		return noSuch("policy", "policy", name)
	}
	return nil
}

func checkSoftwareNames(r Reader, s *schema.SoftwareSlots) error {
	for _, name := range s.All() {
		if _, ok := SoftwareItems.Get(r, name); !ok {
			return noSuch("software", "software", name)
		}
	}
	return nil
}

func checkTemplate(r Reader, field, name string) error {
	s, ok := SoftwareItems.Get(r, name)
	if !ok {
		return specError("%s: there is no template %q", field, name).WithHint("apply a Software document of kind template before, or in the same call")
	}
	if s.Kind != schema.SoftwareTemplate {
		return specError("%s: software %q is a %s, not a template", field, name, s.Kind)
	}
	return nil
}

func normalModel(m *schema.Model) error {
	normalThresholds(m.Thresholds)
	if len(m.Networks) > maxVirtualNICs {
		return specError("networks has %d entries; a VM can have %d NICs", len(m.Networks), maxVirtualNICs)
	}
	if m.VmServerModel == "" {
		return nil
	}
	parts := schema.SplitPath(m.VmServerModel)
	if len(parts) < 2 {
		return specError("vm_server_model is %q", m.VmServerModel).WithHint("write it as GROUP/MODEL")
	}
	m.VmServerModel = GroupKey(parts[len(parts)-2], parts[len(parts)-1])
	return nil
}

// settleModel gives a model without a kind that of its group, and a group
// without a kind that of its models.
func settleModel(tx *Tx, m *schema.Model) error {
	g, ok := Groups.Edit(tx, m.Group)
	if !ok {
		return noSuch("its name", "group", m.Group)
	}
	kind := g.Kind
	for _, other := range GroupModels(tx, g.Name) {
		if kind == "" {
			kind = other.Kind
		}
	}
	if kind == "" {
		return specError("kind is missing").WithHint("give physical, vm or vm-server here or in the group")
	}
	if g.Kind == "" {
		g.Kind = kind
		if err := Groups.Put(tx, g); err != nil {
			return err
		}
	}
	if m.Kind != "" {
		return nil
	}
	edit, _ := Models.Edit(tx, GroupKey(m.Group, m.Name))
	edit.Kind = kind
	return Models.Put(tx, edit)
}

func checkModel(r Reader, m *schema.Model) error {
	g, ok := Groups.Get(r, m.Group)
	if !ok {
		return noSuch("its name", "group", m.Group)
	}
	if err := checkGroupKind(r, g); err != nil {
		return err
	}
	if err := checkGroupNetwork(r, g); err != nil { // the group may have its kind from this model
		return err
	}
	if err := checkPolicyName(r, m.Policy); err != nil {
		return err
	}
	if err := checkSoftwareNames(r, m.Software); err != nil {
		return err
	}
	if err := checkThresholds(m.Thresholds, m.Kind); err != nil {
		return err
	}
	if i := slices.IndexFunc(m.Thresholds, boundary); i >= 0 && m.Placement.GetEnabled() {
		return specError("thresholds[%d]: event %s is raised by the boundaries of placement, which is on", i, m.Thresholds[i].Event).
			WithHint("set placement.high and placement.low instead")
	}
	if m.Template != "" {
		if err := checkTemplate(r, "template", m.Template); err != nil {
			return err
		}
	}
	if m.ModelName != "" {
		if err := checkModelMachines(r, m); err != nil {
			return err
		}
	}
	if m.VmServerModel == "" {
		return nil
	}
	target, ok := Models.Get(r, m.VmServerModel)
	if !ok {
		return noSuch("vm_server_model", "model", m.VmServerModel)
	}
	if target.Kind != schema.MachineVMServer {
		return specError("vm_server_model: model %s is for %s, it must be for vm-server", m.VmServerModel, target.Kind)
	}
	return nil
}

// checkModelMachines holds the machines of a model's group against the hardware
// model that it names.
func checkModelMachines(r Reader, m *schema.Model) error {
	for machine := range Machines.By(r, ByGroup, m.Group) {
		if machine.Model == m.Name && machine.ModelName != m.ModelName {
			return schema.Errorf(schema.KindConflict, "", "model_name is %q, machine %s runs under it with %q", m.ModelName, machine.Name, machine.ModelName)
		}
	}
	for machine := range Machines.By(r, ByPool, m.Group) {
		if err := checkPools(r, machine); err != nil {
			return err
		}
	}
	return nil
}

// normalHost writes addresses in their one usual form, so that equal ones are found.
func normalHost(h *schema.Host) {
	for _, n := range h.Nics {
		for _, a := range n.Addresses {
			for _, s := range []*string{&a.Ip, &a.Gateway} {
				if ip, err := netip.ParseAddr(*s); err == nil {
					*s = ip.Unmap().String()
				}
			}
		}
	}
}

func checkHost(r Reader, h *schema.Host) error {
	g, ok := Groups.Get(r, h.Group)
	if !ok {
		return noSuch("its name", "group", h.Group)
	}
	if err := checkSoftwareNames(r, h.Software); err != nil {
		return err
	}
	if g.Kind == schema.MachineVM {
		if err := checkVirtualNICs(h); err != nil {
			return err
		}
	}
	if err := checkHostNetwork(r, g, h); err != nil {
		return err
	}
	return checkVolumes(r, h)
}

// checkVolumes holds a host setting's volumes against the arrays and against
// those of other host settings [1.9.4].
func checkVolumes(r Reader, h *schema.Host) error {
	for i, v := range h.Volumes {
		field := fmt.Sprintf("volumes[%d]", i)
		if err := checkDoes(r, field+".subsystem", v.Subsystem, schema.DoesStorage); err != nil {
			return err
		}
		for other := range Hosts.By(r, ByVolume, v.Subsystem+"/"+v.Name) {
			if other.Group == h.Group && other.Name == h.Name {
				continue
			}
			j := slices.IndexFunc(other.Volumes, func(o *schema.Volume) bool { return o.Subsystem == v.Subsystem && o.Name == v.Name })
			switch shared := other.Volumes[j].Shared; {
			case !shared && !v.Shared:
				return schema.Errorf(schema.KindConflict, "", "%s: volume %s is used by host %s, too, and isn't shared", field, v.Name, GroupKey(other.Group, other.Name)).
					WithHint("a volume that several machines use is set shared on all of them")
			case shared != v.Shared:
				return schema.Errorf(schema.KindConflict, "", "%s: volume %s is shared here or at host %s, and not at the other", field, v.Name, GroupKey(other.Group, other.Name)).
					WithHint("set shared alike wherever the volume is named")
			}
		}
	}
	return nil
}

// maxVirtualNICs is how many NICs a VM made from a template can have [5.2.13].
const maxVirtualNICs = 4

// checkVirtualNICs holds the limits of a VM's NICs: four, with one address each [5.2.19].
func checkVirtualNICs(h *schema.Host) error {
	if len(h.Nics) > maxVirtualNICs {
		return specError("nics has %d entries; a VM can have %d", len(h.Nics), maxVirtualNICs)
	}
	for i, n := range h.Nics {
		if len(n.Addresses) > 1 {
			return specError("nics[%d].addresses has %d entries; a virtual NIC can have one", i, len(n.Addresses))
		}
	}
	return nil
}
