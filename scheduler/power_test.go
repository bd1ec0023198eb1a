package scheduler_test

import (
	"testing"
	"time"

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

// The step that asks a machine to shut down tells how long that has and what
// comes then, and so it comes.
func TestGraceOfAShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		request func(*fsm.Tx) ([]string, error)
		grace   string
	}{
		"shutdown":    {power("shutdown", "shop/db", "db01"), "3m0s"},
		"replacement": {replaceByPolicy("ph01", "db01"), "15s"},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			r.World.NoOS("ph01")
			r.Start()
			begun := r.Clock.Now()
			id := r.Queue(c.request)[0]
			r.MustSucceed(id)
			took := r.Clock.Now().Sub(begun)
			st := step(t, r, id, "shutdown-machine")
			if st.Args["grace"] != c.grace || st.Args["after_grace"] != "it is forced off" {
				t.Errorf("it tells %v", st.Args)
			}
			grace, _ := time.ParseDuration(st.Args["grace"])
			if took < grace || took > grace+time.Minute || r.World.Count("host-power-off", "ph01") != 1 {
				t.Errorf("it took %s\n%s", took, r.Dump())
			}
		})
	}
	t.Run("forced", func(t *testing.T) {
		r := schedulertest.New(t)
		r.Start()
		id := r.Queue(power("poweroff", "shop/db", "db01"))[0]
		r.MustSucceed(id)
		if st := step(t, r, id, "shutdown-machine"); st.Args["grace"] != "" {
			t.Errorf("it tells %v", st.Args)
		}
	})
}
