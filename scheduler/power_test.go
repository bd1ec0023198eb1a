package scheduler_test

import (
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func power(op, group string, hosts ...string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPower(tx, op, group, hosts) }
}

func TestPowerOperations(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	for _, c := range []struct {
		op    string
		power string
		world drivers.PowerOp
	}{
		{"shutdown", schema.PowerOff, drivers.OpShutdown},
		{"poweron", schema.PowerOn, drivers.OpPowerOn},
		{"reboot", schema.PowerOn, drivers.OpReboot},
		{"suspend", schema.PowerSuspended, drivers.OpSuspend},
		{"poweron", schema.PowerOn, drivers.OpPowerOn},
		{"reset", schema.PowerOn, drivers.OpReset},
		{"poweroff", schema.PowerOff, drivers.OpPowerOff},
	} {
		r.World.ResetLedger()
		r.Clock.Advance(1)
		ids := r.Queue(power(c.op, "shop/web", "web01"))
		r.MustSucceed(ids...)
		if m := r.Machine("web01"); m.Power != c.power || m.Status != schema.StatusReady {
			t.Errorf("after %s: power %s, status %s (%s)", c.op, m.Power, m.Status, m.StatusReason)
		}
		if n := r.World.Count(string(c.world), "web01"); n != 1 || r.World.Count("", "") != 1 {
			t.Errorf("after %s: the ledger has %v", c.op, r.World.Ledger())
		}
	}
}
