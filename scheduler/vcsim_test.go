package scheduler_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/sim"
	"yagura/drivers/vcenter"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
	"yagura/scheduler"
	"yagura/scheduler/sequence"
)

// vcenters are one manager's sessions with simulated vCenters, by subsystem.
type vcenters struct {
	sequence.Drivers // no other system is asked for
	sessions         map[string]*vcenter.Driver
}

func (v vcenters) Hypervisor(_ context.Context, subsystem string) (drivers.Hypervisor, error) {
	if d := v.sessions[subsystem]; d != nil {
		return d, nil
	}
	return nil, errors.New("no such subsystem")
}

// wire is a configuration database and simulated vCenters that are reached on
// the wire, by subsystem.
type wire struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	sims    map[string]*sim.Sim
}

func newWire(t *testing.T, worlds map[string]*sim.World) *wire {
	t.Helper()
	w := &wire{t: t, cluster: fsmtest.New(t), sims: map[string]*sim.Sim{}}
	w.cluster.Do(func(tx *fsm.Tx) error {
		return fsm.SettingsTable.Put(tx, &schema.Settings{Key: schema.SettingsKey, Cluster: "test"})
	})
	for name, world := range worlds {
		s, err := sim.Start(t.Context(), sim.Config{
			StateDir: t.TempDir(), World: world, BootTime: 20 * time.Millisecond, StopTime: 10 * time.Millisecond, GuestTime: 10 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		w.sims[name] = s
		w.cluster.Do(func(tx *fsm.Tx) error {
			return fsm.Subsystems.Put(tx, &schema.Subsystem{Name: name, Kind: "vcenter", Address: s.VCenterURL(), AutoManage: true})
		})
		t.Logf("%s: vCenter simulator of govmomi at %s", name, s.VCenterURL())
	}
	return w
}

// lead lets a new manager lead until the function that it returns is called.
func (w *wire) lead(node string) (stop func()) {
	w.t.Helper()
	open := vcenters{sessions: map[string]*vcenter.Driver{}}
	for name, s := range w.sims {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(s.CAPEM())
		user, password := s.Credentials()
		d, err := vcenter.Open(vcenter.Config{
			Name: name, URL: s.VCenterURL(), User: user, Password: password, CAs: pool, Wait: time.Second, EventPause: 10 * time.Millisecond,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		open.sessions[name] = d
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	term := w.cluster.NewTerm()
	sched := scheduler.New(scheduler.Config{
		Store: w.cluster.Store(), Drivers: open, Node: node, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	go func() { ended <- sched.Run(ctx, term) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		for _, d := range open.sessions {
			if err := d.Close(context.Background()); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// until waits until cond holds over the rows.
func (w *wire) until(what string, cond func(v *fsm.View) bool) {
	w.t.Helper()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for {
		changed := w.cluster.Store().Watch()
		if cond(w.cluster.Store().View()) {
			return
		}
		select {
		case <-changed:
		case <-end.C:
			for _, e := range eventsOf(w.cluster.Store().View(), schema.NotifierVMware) {
				w.t.Logf("%s x%d of %s %s%s", e.EventId, e.Count, e.From, e.Target, e.TargetHint)
			}
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (w *wire) taken(v *fsm.View, subsystem string) int64 {
	p, _ := fsm.Positions.Get(v, subsystem)
	return p.GetEvents()
}

// Two vCenters on the wire: every change of the manual's list, made while one
// manager leads, while nobody does, and while the next one does, is on record
// once. The death of a VM server is one event, beside those of its VMs.
func TestEventsOfVCentersOnTheWire(t *testing.T) {
	worlds := map[string]*sim.World{}
	for i, name := range []string{"vc1", "vc2"} {
		worlds[name] = &sim.World{
			VCenter: name, Datacenter: fmt.Sprintf("DC%d", i+1), SharedDatastores: []string{fmt.Sprintf("store%d", i+1)},
			VMServers: []sim.MachineSpec{{Name: fmt.Sprintf("esx%d1", i+1)}, {Name: fmt.Sprintf("esx%d2", i+1)}},
			VMs:       []sim.VMSpec{{Name: fmt.Sprintf("app%d1", i+1), Server: fmt.Sprintf("esx%d1", i+1)}, {Name: fmt.Sprintf("app%d2", i+1), Server: fmt.Sprintf("esx%d2", i+1)}},
		}
	}
	w := newWire(t, worlds)
	stop := w.lead("node1")
	known := func(v *fsm.View) bool {
		_, vm1 := fsm.Machines.Get(v, "app11")
		_, vm2 := fsm.Machines.Get(v, "app22")
		_, first := fsm.Positions.Get(v, "vc1")
		_, second := fsm.Positions.Get(v, "vc2")
		return vm1 && vm2 && first && second
	}
	w.until("both inventories and positions", known)

	changes := vmwareChanges(t)
	want := map[string]bool{}
	posted := int64(0)
	post := func(changes []change) {
		for _, ch := range changes {
			for i, name := range []string{"vc1", "vc2"} {
				object := fmt.Sprintf("esx%d1", i+1)
				if ch.target == "VM" {
					object = fmt.Sprintf("app%d1", i+1)
				}
				if _, err := w.sims[name].Alarm(object, ch.alarm, ch.from, ch.to); err != nil {
					t.Fatal(err)
				}
				want[object+": "+ch.id()] = true
			}
			posted++
		}
	}
	post(changes[:20])
	w.until("the first changes", func(v *fsm.View) bool { return w.taken(v, "vc1") > 0 && w.taken(v, "vc2") > 0 })
	stop() // with events read and recorded, read and not recorded, and not read
	post(changes[20:40])
	stop = w.lead("node2")
	defer func() { stop() }()
	post(changes[40:])
	all := func(v *fsm.View) bool {
		for _, e := range eventsOf(v, schema.NotifierVMware) {
			if e.State != schema.EventHandled {
				return false
			}
		}
		return w.taken(v, "vc1") >= posted && w.taken(v, "vc2") >= posted
	}
	w.until("all changes", all)
	each(t, eventsOf(w.cluster.Store().View(), schema.NotifierVMware), want)

	before := len(eventsOf(w.cluster.Store().View(), schema.NotifierVMware))
	if _, err := w.sims["vc1"].HostDown("esx12", false); err != nil {
		t.Fatal(err)
	}
	// Event and alarm of the VM server, event of its VM.
	w.until("the death of a VM server", func(v *fsm.View) bool {
		m, _ := fsm.Machines.Get(v, "esx12")
		return !m.Connected && w.taken(v, "vc1") == posted+3
	})
	var got []string
	for _, e := range eventsOf(w.cluster.Store().View(), schema.NotifierVMware)[before:] {
		got = append(got, fmt.Sprintf("%s %s", e.Target, e.EventId))
	}
	lost, vm := "esx12 Alarm Host connection state on VMS changed from green to red", "app12 Virtual Machine disconnected"
	if s := fmt.Sprint(got); s != fmt.Sprint([]string{lost, vm}) && s != fmt.Sprint([]string{vm, lost}) {
		t.Errorf("recorded are %s", s)
	}
}
