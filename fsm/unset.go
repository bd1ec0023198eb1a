package fsm

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// maxUsers bounds the users that an error names.
const maxUsers = 10

// Unset removes an object that nothing uses. When something does, the error
// (KindConflict) lists it. A machine that its subsystem still reports stays
// known; it is only taken out of management.
func Unset(tx *Tx, kind, name string) error {
	k, err := kindOf(kind)
	if err != nil {
		return err
	}
	key, err := k.key(tx, name)
	if err != nil {
		return err
	}
	row, ok := k.rows.get(tx, key)
	if !ok || !namedRight(tx, k, name) {
		return notFound(k, name)
	}
	o := k.name + " " + key
	if k.keep != nil {
		if why := k.keep(row); why != "" {
			return schema.Errorf(schema.KindConflict, o, "it can't be removed: %s", why)
		}
	}
	if k.users != nil {
		if users := k.users(tx, row); len(users) > 0 {
			return schema.Errorf(schema.KindConflict, o, "it is in use by %s", shorten(users)).WithHint("change or remove these first")
		}
	}
	switch row := row.(type) {
	case *schema.Machine:
		if row.Subsystem != "" && !row.Gone {
			return forgetMachine(tx, row)
		}
	case *schema.Receiver:
		if err := forgetNotices(tx, row.Name); err != nil {
			return err
		}
	case *schema.Subsystem:
		if err := forgetReported(tx, row.Name); err != nil {
			return err
		}
		if err := Positions.Delete(tx, row.Name); err != nil {
			return err
		}
	}
	return k.rows.delete(tx, key)
}

// forgetReported removes what a subsystem has reported and nobody manages.
func forgetReported(tx *Tx, subsystem string) error {
	for m := range Machines.By(tx, BySub, subsystem) {
		if err := Machines.Delete(tx, m.Name); err != nil {
			return err
		}
	}
	return nil
}

// forgetMachine takes a machine out of management, and what a person has set
// on it away. KindConflict when there is nothing to take away.
func forgetMachine(tx *Tx, old *schema.Machine) error {
	m := proto.Clone(old).(*schema.Machine)
	m.Managed, m.Maintenance, m.Bmc, m.Capacity, m.Cost, m.Tags, m.Software, m.Description = false, false, nil, 0, 0, nil, nil, ""
	m.Initiators, m.Address = nil, ""
	if proto.Equal(m, old) {
		return schema.Errorf(schema.KindConflict, "Machine "+m.Name, "it isn't managed, and subsystem %s still reports it", m.Subsystem).
			WithHint("delete it there and collect; then it can be removed here")
	}
	return Machines.Put(tx, m)
}

func shorten(users []string) string {
	if len(users) > maxUsers {
		return fmt.Sprintf("%s and %d more", strings.Join(users[:maxUsers], ", "), len(users)-maxUsers)
	}
	return strings.Join(users, ", ")
}

func categoryUsers(r Reader, c *schema.Category) (users []string) {
	for other := range Categories.All(r) {
		if ParentCategory(other.Path) == c.Path {
			users = append(users, "category "+other.Path)
		}
	}
	for g := range Groups.By(r, ByCategory, c.Path) {
		users = append(users, "group "+g.Name)
	}
	return append(users, receiversOf(r, "", c.Path)...)
}

func groupUsers(r Reader, g *schema.Group) (users []string) {
	for m := range Models.By(r, ByGroup, g.Name) {
		users = append(users, "model "+GroupKey(m.Group, m.Name))
	}
	for h := range Hosts.By(r, ByGroup, g.Name) {
		users = append(users, "host "+GroupKey(h.Group, h.Name))
	}
	for m := range Machines.By(r, ByGroup, g.Name) {
		users = append(users, "machine "+m.Name)
	}
	for m := range Machines.By(r, ByPool, g.Name) {
		users = append(users, "pool machine "+m.Name)
	}
	users = append(users, receiversOf(r, g.Name, "")...)
	return append(users, jobUsers(r, func(j *schema.Job) bool { return j.Group == g.Name })...)
}

func modelUsers(r Reader, m *schema.Model) (users []string) {
	for machine := range Machines.By(r, ByGroup, m.Group) {
		if machine.Model == m.Name {
			users = append(users, "machine "+machine.Name)
		}
	}
	for other := range Models.All(r) {
		if other.VmServerModel == GroupKey(m.Group, m.Name) {
			users = append(users, "model "+GroupKey(other.Group, other.Name))
		}
	}
	return users
}

func hostUsers(r Reader, h *schema.Host) (users []string) {
	if h.Machine != "" {
		users = append(users, "machine "+h.Machine)
	}
	return append(users, lockUsers(r, "host/"+GroupKey(h.Group, h.Name))...)
}

func machineUsers(r Reader, m *schema.Machine) (users []string) {
	if m.Group != "" {
		users = append(users, "host "+GroupKey(m.Group, m.Host))
	}
	for _, g := range m.PoolGroups {
		users = append(users, "the pool of group "+g)
	}
	for vm := range Machines.By(r, ByServer, m.Name) {
		users = append(users, "vm "+vm.Name)
	}
	return append(users, lockUsers(r, MachineLock(m.Name))...)
}

func lockUsers(r Reader, object string) (users []string) {
	for l := range Locks.By(r, ByObject, object) {
		users = append(users, "job "+l.Job)
	}
	return users
}

func jobUsers(r Reader, uses func(*schema.Job) bool) (users []string) {
	for _, state := range []string{schema.JobQueued, schema.JobRunning, schema.JobCancelling, schema.JobParked} {
		for j := range Jobs.By(r, ByState, state) {
			if uses(j) {
				users = append(users, "job "+j.Id)
			}
		}
	}
	return users
}

func subsystemUsers(r Reader, s *schema.Subsystem) (users []string) {
	for _, u := range subsystemUses(r, s.Name) {
		if !slices.Contains(users, u.user) {
			users = append(users, u.user)
		}
	}
	return users
}

func vlanUsers(r Reader, v *schema.Vlan) (users []string) {
	for g := range Groups.All(r) {
		if slices.ContainsFunc(g.Vlans, func(entry string) bool { name, _, _ := ParseVLAN(entry); return name == v.Name }) {
			users = append(users, "group "+g.Name)
		}
	}
	for h := range Hosts.All(r) {
		if slices.ContainsFunc(h.Nics, func(n *schema.HostNIC) bool { return n.Vlan == v.Name }) {
			users = append(users, "host "+GroupKey(h.Group, h.Name))
		}
	}
	return users
}

func loadBalancerUsers(r Reader, l *schema.LoadBalancer) (users []string) {
	for g := range Groups.All(r) {
		if slices.Contains(g.LoadBalancers, l.Name) {
			users = append(users, "group "+g.Name)
		}
	}
	return users
}

func softwareUsers(r Reader, s *schema.Software) (users []string) {
	uses := func(slots *schema.SoftwareSlots, more ...string) bool {
		return slices.Contains(slots.All(), s.Name) || slices.Contains(more, s.Name)
	}
	for g := range Groups.All(r) {
		if uses(g.Software, g.Templates...) {
			users = append(users, "group "+g.Name)
		}
	}
	for m := range Models.All(r) {
		if uses(m.Software, m.Template) {
			users = append(users, "model "+GroupKey(m.Group, m.Name))
		}
	}
	for h := range Hosts.All(r) {
		if uses(h.Software) {
			users = append(users, "host "+GroupKey(h.Group, h.Name))
		}
	}
	for m := range Machines.All(r) {
		if uses(m.Software) {
			users = append(users, "machine "+m.Name)
		}
	}
	return users
}

func policyUsers(r Reader, p *schema.Policy) (users []string) {
	for g := range Groups.All(r) {
		if g.Policy == p.Name {
			users = append(users, "group "+g.Name)
		}
	}
	for m := range Models.All(r) {
		if m.Policy == p.Name {
			users = append(users, "model "+GroupKey(m.Group, m.Name))
		}
	}
	return users
}
