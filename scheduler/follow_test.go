package scheduler_test

import (
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
	if m := r.Machine("web07"); m.Power != schema.PowerOn || m.Connected {
		t.Errorf("a VM of a dead VM server: %v", m)
	}
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
