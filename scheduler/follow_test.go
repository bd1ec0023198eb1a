package scheduler_test

import (
	"fmt"
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func TestFollowerKeepsRowsUpToDate(t *testing.T) {
	r := schedulertest.New(t)
	r.Follow = true
	r.Start()
	r.World.SetVMState("web01", drivers.PowerOff)
	r.World.AddVM(drivers.VM{Name: "new01", Server: "esx01", Datastores: []string{"shared01"}})
	r.Until("the rows to follow", func(v *fsm.View) bool {
		m, _ := fsm.Machines.Get(v, "web01")
		_, ok := fsm.Machines.Get(v, "new01")
		return m.Power == schema.PowerOff && ok
	})
	r.World.HostDown("esx03", false)
	r.Until("the alarm", func(v *fsm.View) bool {
		es := eventsOf(v, schema.NotifierVMware)
		return len(es) == 1 && es[0].Target == "esx03" && es[0].State == schema.EventHandled &&
			es[0].EventId == "Alarm Host connection state on VMS changed from green to red"
	})
	r.Until("the VM of the dead VM server to keep its power", func(v *fsm.View) bool {
		m, _ := fsm.Machines.Get(v, "web07")
		return m.Power == schema.PowerOn && !m.Connected
	})
	r.World.SystemDown(r.World.System(), true)
	r.Until("the break to be noted", func(v *fsm.View) bool {
		s, _ := fsm.Subsystems.Get(v, schedulertest.Subsystem)
		return s.Error != ""
	})
	r.World.HostUp("esx03")
	r.World.SystemDown(r.World.System(), false)
	r.Until("the recovery", func(v *fsm.View) bool {
		es := eventsOf(v, schema.NotifierVMware)
		s, _ := fsm.Subsystems.Get(v, schedulertest.Subsystem)
		return len(es) == 2 && es[1].EventId == "Alarm Host connection state on VMS changed from red to green" && s.Error == ""
	})
}

func TestFollowerDoubtsThatMostIsGone(t *testing.T) {
	r := schedulertest.New(t)
	r.Follow = true
	more := fsm.Machines.Len(r.Rows())
	r.Cluster.Do(func(tx *fsm.Tx) error {
		rows := make([]*schema.Machine, more)
		for i := range rows {
			rows[i] = &schema.Machine{Name: fmt.Sprintf("lost%02d", i), Uuid: fmt.Sprintf("00000000-0000-0000-0009-%012d", i), Kind: schema.MachineVM, Power: schema.PowerOn, Connected: true}
		}
		_, err := fsm.Collected(tx, schedulertest.Subsystem, rows, fsm.Partial)
		return err
	})
	r.Start()
	r.Until("the doubt", func(v *fsm.View) bool {
		s, _ := fsm.Subsystems.Get(v, schedulertest.Subsystem)
		return strings.Contains(s.Error, "--force")
	})
	if n := fsm.Machines.Len(r.Rows()); n != 2*more {
		t.Fatalf("%d of %d machines are left", n, 2*more)
	}
	r.MustSucceed(r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestForcedCollect(tx, schedulertest.Subsystem) })...)
	for m := range fsm.Machines.All(r.Rows()) {
		if !m.Gone && strings.HasPrefix(m.Name, "lost") {
			t.Errorf("confirmed, and %s isn't gone", m.Name)
		}
	}
	if s, _ := fsm.Subsystems.Get(r.Rows(), schedulertest.Subsystem); s.Error != "" {
		t.Errorf("confirmed, and the subsystem says %q", s.Error)
	}
}
