package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// poolWorld is a group g with a model and host settings, and machines of
// any state in its pool, running, or in the common pool.
type poolWorld struct {
	group    *schema.Group
	model    *schema.Model
	hosts    int
	machines []*schema.Machine
	busy     map[string]bool
}

func drawWorld(rt *rapid.T) poolWorld {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, name) }
	w := poolWorld{
		group: &schema.Group{Name: "g", Kind: schema.MachinePhysical, UseCommonPool: rapid.Bool().Draw(rt, "common")},
		model: &schema.Model{Group: "g", Name: "m", Kind: schema.MachinePhysical, ModelName: pick("model", "", "R120")},
		hosts: rapid.IntRange(1, 3).Draw(rt, "hosts"),
		busy:  map[string]bool{},
	}
	running := 0
	for i := range rapid.IntRange(0, 8).Draw(rt, "machines") {
		m := &schema.Machine{
			Name: fmt.Sprintf("m%d", i), Kind: pick("kind", schema.MachinePhysical, schema.MachinePhysical, schema.MachinePhysical, schema.MachineVMServer), Managed: true,
			Status:         pick("status", schema.StatusReady, schema.StatusReady, schema.StatusReady, schema.StatusInUse, schema.StatusAbnormal),
			HardwareStatus: pick("hardware", schema.HardwareUnknown, schema.HardwareNormal, schema.HardwareNormal, schema.HardwareDegraded, schema.HardwareFailed),
			ModelName:      pick("model name", "", "R120", "R120", "R140"), Maintenance: rapid.IntRange(0, 5).Draw(rt, "maintenance") == 0,
		}
		if rapid.IntRange(0, 6).Draw(rt, "no BMC") > 0 {
			m.Bmc = &schema.Bmc{Kind: schema.BMCRedfish, Address: "https://h"}
		}
		switch pick("place", "pool", "pool", "common", "common", "run") {
		case "pool":
			m.PoolGroups = []string{"g"}
		case "run":
			if running < w.hosts {
				running++
				m.Group, m.Host, m.Model, m.Kind = "g", fmt.Sprintf("h%d", running), "m", schema.MachinePhysical
			}
		}
		if rapid.IntRange(0, 5).Draw(rt, "busy") == 0 {
			w.busy[m.Name] = true
		}
		w.machines = append(w.machines, m)
	}
	return w
}

// build writes the world's rows, the machines in the order given.
func (w poolWorld) build(t *testing.T, machines []*schema.Machine) *fsm.View {
	c := bootstrapped(t)
	c.Do(func(tx *fsm.Tx) error {
		err := firstErr(fsm.Groups.Put(tx, w.group), fsm.Models.Put(tx, w.model))
		for i := range w.hosts {
			h := &schema.Host{Group: "g", Name: fmt.Sprintf("h%d", i+1)}
			for _, m := range machines {
				if m.Host == h.Name {
					h.Machine = m.Name
				}
			}
			err = firstErr(err, fsm.Hosts.Put(tx, h))
		}
		for _, m := range machines {
			err = firstErr(err, fsm.Machines.Put(tx, m))
		}
		return err
	})
	return c.Store().View()
}

// usable is the rule of a machine that can be chosen, said once more and in
// another way; of the common pool too when that may serve the group.
func (w poolWorld) usable(m *schema.Machine, common bool) bool {
	right := m.Status == schema.StatusReady && !m.Maintenance && !w.busy[m.Name] && m.Bmc != nil && m.Kind == schema.MachinePhysical &&
		(m.HardwareStatus == schema.HardwareNormal || m.HardwareStatus == schema.HardwareUnknown) && (w.model.ModelName == "" || w.model.ModelName == m.ModelName)
	if m.Group != "" || !right {
		return false
	}
	if !common {
		return len(m.PoolGroups) > 0
	}
	runs, same := false, false
	for _, o := range w.machines {
		if o.Group != "" {
			runs, same = true, same || o.ModelName == m.ModelName && m.ModelName != ""
		}
	}
	return len(m.PoolGroups) == 0 && w.group.UseCommonPool && (!runs || same)
}

// TestSelectionFromPools: the choice is usable, isn't one that a job holds, doesn't
// depend on the order in which rows were written, comes from the common pool only
// when the group's pool has none; and when there is no choice, there was none
// indeed, and the error names every candidate.
func TestSelectionFromPools(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		v := w.build(t, w.machines)
		not := func(m string) bool { return w.busy[m] }
		choice, err := fsm.PickForGroup(v, fsm.GroupRef{Group: "g"}, "", "", not)

		reversed := slices.Clone(w.machines)
		slices.Reverse(reversed)
		again, err2 := fsm.PickForGroup(w.build(t, reversed), fsm.GroupRef{Group: "g"}, "", "", not)
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() || err == nil && (choice.Machine.Name != again.Machine.Name || choice.Host.Name != again.Host.Name || choice.Why != again.Why) {
			rt.Fatalf("%+v, %v; then %+v, %v", choice, err, again, err2)
		}
		var running, pool, common []*schema.Machine
		for _, m := range w.machines {
			switch {
			case m.Group != "":
				running = append(running, m)
			case w.usable(m, false):
				pool = append(pool, m)
			case w.usable(m, true):
				common = append(common, m)
			}
		}
		possible := len(pool)+len(common) > 0 && len(running) < w.hosts
		switch {
		case possible != (err == nil):
			rt.Fatalf("%d in the pool, %d in the common pool, %d of %d hosts in use: %v", len(pool), len(common), len(running), w.hosts, err)
		case err == nil && choice.Common != (len(pool) == 0):
			rt.Fatalf("%d in the pool: %+v", len(pool), choice)
		case err == nil && !slices.ContainsFunc(slices.Concat(pool, common), func(m *schema.Machine) bool { return proto.Equal(m, choice.Machine) }):
			rt.Fatalf("chose %v", choice.Machine)
		case err == nil && choice.Host.Machine != "":
			rt.Fatalf("chose host %v", choice.Host)
		}
		if err == nil || len(running) >= w.hosts {
			return
		}
		for _, m := range w.machines {
			candidate := len(m.PoolGroups) > 0 || w.group.UseCommonPool && m.Group == "" && m.Kind == schema.MachinePhysical
			if candidate && !strings.Contains(err.Error(), m.Name+":") && !strings.Contains(err.Error(), m.Name+",") {
				rt.Fatalf("%s isn't named: %v", m.Name, err)
			}
		}
		for _, m := range w.machines {
			if m.Kind != schema.MachinePhysical && len(m.PoolGroups) == 0 && strings.Contains(err.Error(), m.Name) {
				rt.Fatalf("%s is no candidate, and is named: %v", m.Name, err)
			}
		}
		if !w.group.UseCommonPool && !strings.Contains(err.Error(), "doesn't permit") {
			rt.Fatal(err)
		}
	})
}

// TestCountIsWhatThereIs: a request for n machines is taken exactly when n can
// be had, and jobs that start one after the other choose n different machines
// and host settings.
func TestCountIsWhatThereIs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		w.busy = map[string]bool{}
		for _, m := range w.machines { // jobs of others show in the rows here
			if m.Status == schema.StatusInUse {
				m.Status = schema.StatusReady
			}
		}
		n := rapid.IntRange(1, 4).Draw(rt, "count")
		c := bootstrapped(t)
		v := w.build(t, w.machines)
		c.Do(func(tx *fsm.Tx) error {
			var err error
			for m := range fsm.Machines.All(v) {
				err = firstErr(err, fsm.Machines.Put(tx, m))
			}
			for h := range fsm.Hosts.All(v) {
				err = firstErr(err, fsm.Hosts.Put(tx, h))
			}
			return firstErr(err, fsm.Groups.Put(tx, w.group), fsm.Models.Put(tx, w.model))
		})
		var jobs []string
		_, err := c.Try(func(tx *fsm.Tx) (err error) {
			jobs, err = fsm.RequestAddMachine(tx, fsm.AddMachine{Group: "g", Count: n})
			return err
		})
		machines, hosts := map[string]bool{}, map[string]bool{}
		var last error
		for range n {
			c.Do(func(tx *fsm.Tx) error { // as the start of a job does
				choice, err := fsm.PickForGroup(tx, fsm.GroupRef{Group: "g"}, "", "", fsm.Busy(tx, "00099"))
				if last = err; err != nil {
					return nil
				}
				if machines[choice.Machine.Name] || hosts[choice.Host.Name] {
					rt.Errorf("chosen twice: %+v", choice)
				}
				machines[choice.Machine.Name], hosts[choice.Host.Name] = true, true
				return fsm.TakeLocks(tx, fmt.Sprintf("%05d", 100+len(machines)), []string{
					fsm.Exclusive("machine", choice.Machine.Name), fsm.Exclusive("host", "g/"+choice.Host.Name),
				})
			})
		}
		if (err == nil) != (len(machines) == n) || err == nil && len(jobs) != n || err != nil && len(jobs) > 0 {
			rt.Errorf("%d asked for, %d can be had (%v); the request: %v, %v", n, len(machines), last, jobs, err)
		}
	})
}
