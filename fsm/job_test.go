package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func queue(c *fsmtest.Cluster, j *schema.Job) (id string) {
	c.Do(func(tx *fsm.Tx) (err error) {
		id, err = fsm.QueueJob(tx, j)
		return err
	})
	return id
}

// setState puts a job into a state as the scheduler would have.
func setState(c *fsmtest.Cluster, id string, change func(*schema.Job)) {
	c.Do(func(tx *fsm.Tx) error {
		j, err := fsm.EditJob(tx, id)
		if err != nil {
			return err
		}
		change(j)
		return fsm.Jobs.Put(tx, j)
	})
}

func TestJobVerbs(t *testing.T) {
	c := fsmtest.New(t)
	id := queue(c, &schema.Job{Sequence: fsm.SeqCollect})
	if id != "00001" || queue(c, &schema.Job{Sequence: fsm.SeqCollect}) != "00002" {
		t.Fatalf("id %s", id)
	}
	try := func(verb func(tx *fsm.Tx) error) schema.Kind {
		_, err := c.Try(verb)
		return schema.KindOf(err)
	}
	for _, s := range []struct {
		what string
		set  func(*schema.Job)
		verb func(tx *fsm.Tx) error
		want schema.Kind
		then string // state afterwards
	}{
		{"cancel a queued job", nil, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, "1") }, "", schema.JobQueued},
		{"cancel it again", nil, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, "00001") }, "", schema.JobQueued},
		{"cancel a running job", func(j *schema.Job) { j.State, j.Cancel = schema.JobRunning, false }, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) }, "", schema.JobCancelling},
		{"cancel an ended job", func(j *schema.Job) { j.State = schema.JobSucceeded }, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) }, schema.KindConflict, schema.JobSucceeded},
		{"cancel nothing", nil, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, "99") }, schema.KindNotFound, ""},
		{"cancel nonsense", nil, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, "x1") }, schema.KindInvalid, ""},
		{"resume what isn't parked", nil, func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "off") }, schema.KindConflict, ""},
		{"resume with a wrong word", func(j *schema.Job) { j.State, j.ResumeWords = schema.JobParked, []string{"off", "retry"} },
			func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "maybe") }, schema.KindInvalid, schema.JobParked},
		{"resume", nil, func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, " OFF ") }, "", schema.JobRunning},
		{"roll back a running job", nil, func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) }, schema.KindConflict, schema.JobRunning},
		{"roll back a parked job", func(j *schema.Job) { j.State = schema.JobParked }, func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) }, "", schema.JobCancelling},
	} {
		if s.set != nil {
			setState(c, id, s.set)
		}
		if got := try(s.verb); got != s.want {
			t.Errorf("%s: %q, want %q", s.what, got, s.want)
		}
		if j, _ := fsm.JobRow(c.Store().View(), "1"); s.then != "" && j.State != s.then {
			t.Errorf("%s: then it is %s, want %s", s.what, j.State, s.then)
		}
	}
}

func TestStepsMoveForwardOnly(t *testing.T) {
	c := fsmtest.New(t)
	id := queue(c, &schema.Job{Sequence: fsm.SeqCollect})
	all := []string{schema.StepPending, schema.StepStarted, schema.StepHandled, schema.StepDone, schema.StepFailed, schema.StepSkipped}
	allowed := map[string][]string{
		schema.StepPending: {schema.StepStarted, schema.StepDone, schema.StepFailed, schema.StepSkipped},
		schema.StepStarted: {schema.StepStarted, schema.StepHandled, schema.StepDone, schema.StepFailed},
		schema.StepHandled: {schema.StepStarted, schema.StepDone, schema.StepFailed},
	}
	for _, from := range all {
		for _, to := range all {
			for _, attempt := range []int32{1, 2} {
				c.Do(func(tx *fsm.Tx) error {
					return fsm.Steps.Put(tx, &schema.Step{Job: id, Number: 1, State: from, Attempt: 1})
				})
				_, err := c.Try(func(tx *fsm.Tx) error {
					return fsm.MoveStep(tx, &schema.Step{Job: id, Number: 1, State: to, Attempt: attempt})
				})
				want := slices.Contains(allowed[from], to) && (to != schema.StepStarted || attempt == 2) || from == to && attempt == 1
				if (err == nil) != want {
					t.Errorf("%s to %s at attempt %d: %v", from, to, attempt, err)
				}
				if err != nil && schema.KindOf(err) != schema.KindConflict {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			}
		}
	}
}

func TestOperationsAreChecked(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		for _, err := range []error{
			fsm.Categories.Put(tx, &schema.Category{Path: "shop"}),
			fsm.Groups.Put(tx, &schema.Group{Name: "web", Category: "shop", Kind: schema.MachineVM}),
			fsm.Groups.Put(tx, &schema.Group{Name: "low", Category: "shop", Kind: schema.MachineVM, Priority: -1}),
			fsm.Groups.Put(tx, &schema.Group{Name: "db", Kind: schema.MachinePhysical}),
			fsm.Models.Put(tx, &schema.Model{Group: "web", Name: "m", Kind: schema.MachineVM}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "esx1", Kind: schema.MachineVMServer, Datastores: []string{"ds1"}}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "web1", Kind: schema.MachineVM, Managed: true, Group: "web", Host: "h1", Model: "m", VmServer: "esx1"}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "db1", Kind: schema.MachinePhysical, Managed: true, Group: "db", Host: "hd", Model: "m"}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "h1", Machine: "web1"}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "h2", Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.2", Prefix: 24}}}}}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	type request = func(tx *fsm.Tx) ([]string, error)
	power := func(op, group string, hosts ...string) request {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPower(tx, op, group, hosts) }
	}
	add := func(a fsm.AddVM) request {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, a) }
	}
	migrate := func(m fsm.MigrateVM) request {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestMigrateVM(tx, m) }
	}
	remove := func(group, host string) request {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeleteVM(tx, group, host, false) }
	}
	for i, s := range []struct {
		do   request
		want schema.Kind
		jobs int
	}{
		{power("shutdown", `shop¥web`, "h1"), "", 1},
		{power("shutdown", `shop\web`), "", 1},
		{power("shutdown", "shop"), "", 1},
		{power("explode", "web"), schema.KindInvalid, 0},
		{power("reboot", "nowhere"), schema.KindGroupNotFound, 0},
		{power("reboot", "shop", "h1"), schema.KindGroupNotFound, 0},
		{power("reboot", "web", "h9"), schema.KindMachineNotFound, 0},
		{power("reboot", "web", "h1", "h1"), schema.KindDuplicateHost, 0},
		{power("reboot", "low"), schema.KindTooFewHosts, 0},
		{add(fsm.AddVM{Group: "web", VM: "new1"}), "", 1},
		{add(fsm.AddVM{Group: "web", VM: "new1"}), schema.KindExists, 0}, // a job makes it already
		{add(fsm.AddVM{Group: "web", VM: "new2", NetInfo: "192.0.2.2", VMServer: "esx1", Datastore: "ds1"}), "", 1},
		{add(fsm.AddVM{Group: "shop", VM: "new3"}), schema.KindGroupNotFound, 0},
		{add(fsm.AddVM{Group: "db", VM: "new3"}), schema.KindGroupNotFound, 0},
		{add(fsm.AddVM{Group: "web"}), schema.KindInvalid, 0},
		{add(fsm.AddVM{Group: "web", VM: "no spaces"}), schema.KindInvalid, 0},
		{add(fsm.AddVM{Group: "web", VM: "web1"}), schema.KindExists, 0},
		{add(fsm.AddVM{Group: "web", VM: "web1", Existing: true}), schema.KindInGroup, 0},
		{add(fsm.AddVM{Group: "web", VM: "web9", Existing: true}), schema.KindTooFewMachines, 0},
		{add(fsm.AddVM{Group: "web", VM: "esx1", Existing: true}), schema.KindMachineNotFound, 0},
		{add(fsm.AddVM{Group: "web", VM: "new3", VMServer: "esx9"}), schema.KindMachineNotFound, 0},
		{add(fsm.AddVM{Group: "web", VM: "new3", VMServer: "esx1", Datastore: "ds9"}), schema.KindMachineNotFound, 0},
		{add(fsm.AddVM{Group: "web", VM: "new3", Datastore: "ds1"}), schema.KindInvalid, 0},
		{add(fsm.AddVM{Group: "web", VM: "new3", NetInfo: "h1"}), schema.KindHostSetting, 0},
		{add(fsm.AddVM{Group: "web", VM: "new3", NetInfo: "192.0.2.77"}), schema.KindHostSetting, 0},
		{add(fsm.AddVM{Group: "low", VM: "new3"}), schema.KindHostSetting, 0},
		{migrate(fsm.MigrateVM{Group: "web", Host: "h1", VMServer: "esx1"}), schema.KindSameServer, 0},
		{migrate(fsm.MigrateVM{Group: "web", Host: "h1", VMServer: "esx9"}), schema.KindMachineNotFound, 0},
		{migrate(fsm.MigrateVM{Group: "db", Host: "hd", VMServer: "esx1"}), schema.KindMachineNotFound, 0},
		{migrate(fsm.MigrateVM{Group: "shop", Host: "h1", VMServer: "esx1"}), schema.KindGroupNotFound, 0},
		{migrate(fsm.MigrateVM{Group: "web", Host: "h1"}), schema.KindInvalid, 0},
		{remove("web", "h9"), schema.KindMachineNotFound, 0},
		{remove("shop", "h1"), schema.KindGroupNotFound, 0},
		{remove("low", ""), schema.KindTooFewHosts, 0},
		{remove("shop", ""), schema.KindTooFewHosts, 0}, // jobs work on the only one
		{remove("web", "h1"), "", 1},
		{func(tx *fsm.Tx) ([]string, error) { return fsm.RequestEvacuate(tx, "web1", true) }, schema.KindMachineNotFound, 0},
		{func(tx *fsm.Tx) ([]string, error) { return fsm.RequestEvacuate(tx, "esx1", true) }, "", 1},
		{func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "vc9") }, schema.KindNotFound, 0},
		{func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "") }, "", 0},
	} {
		before := fsm.Jobs.Len(c.Store().View())
		var ids []string
		_, err := c.Try(func(tx *fsm.Tx) (err error) {
			ids, err = s.do(tx)
			return err
		})
		made := fsm.Jobs.Len(c.Store().View()) - before
		if schema.KindOf(err) != s.want || len(ids) != s.jobs || made != s.jobs {
			t.Errorf("request %d: %v, jobs %v, %d made; want kind %q, %d jobs", i, err, ids, made, s.want, s.jobs)
		}
	}
}

func TestRecordEventsExactlyOnce(t *testing.T) {
	c := fsmtest.New(t)
	record := func(node string, numbers ...uint64) (seq uint64, err error) {
		_, err = c.Try(func(tx *fsm.Tx) error {
			var es []*schema.Event
			for _, n := range numbers {
				es = append(es, &schema.Event{Sequence: n, Notifier: schema.NotifierSNMP, Source: "test", EventId: fmt.Sprint(n), TargetHint: "somewhere"})
			}
			var err error
			seq, err = fsm.RecordEvents(tx, node, es)
			return err
		})
		return seq, err
	}
	for _, s := range []struct {
		node    string
		numbers []uint64
		seq     uint64
		rows    int
	}{
		{"n1", []uint64{1, 2, 3}, 3, 3},
		{"n1", []uint64{2, 3, 4}, 4, 4},
		{"n1", nil, 4, 4},
		{"n1", []uint64{1}, 4, 4},
		{"n2", []uint64{11, 12}, 12, 6}, // numbers of another manager
		{"n1", []uint64{9}, 9, 7},       // it dropped some, and counted them
	} {
		seq, err := record(s.node, s.numbers...)
		if rows := fsm.Events.Len(c.Store().View()); err != nil || seq != s.seq || rows != s.rows {
			t.Errorf("%s %v: up to %d, %d rows, %v; want %d and %d", s.node, s.numbers, seq, rows, err, s.seq, s.rows)
		}
	}
	if _, err := record("", 1); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("no node: %v", err)
	}
	if _, err := record("n1", 0); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("no number: %v", err)
	}
}

func TestEventsFindTheirMachine(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		for _, err := range []error{
			fsm.Machines.Put(tx, &schema.Machine{Name: "ph1", Kind: schema.MachinePhysical}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "192.0.2.7", Kind: schema.MachineVMServer}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db1", Machine: "ph1", Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.1", Prefix: 24}}}}}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db2"}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	for hint, want := range map[string]string{
		"ph1": "ph1", "ph1.example.com": "ph1", "db1": "ph1", "db1.example.com": "ph1", "192.0.2.1": "ph1", "::ffff:192.0.2.1": "ph1",
		"192.0.2.7": "192.0.2.7", "db2": "", "192.0.2.99": "", "": "", "192.0": "",
	} {
		got := ""
		if m := fsm.FindMachine(c.Store().View(), hint); m != nil {
			got = m.Name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", hint, got, want)
		}
	}
}

func TestMachineNamedInsteadOfItsHost(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "web01")
		m.Host = "alias"
		return fsm.Machines.Put(tx, m)
	})
	for host, want := range map[string]string{"web01": "runs as host alias in group web", "none": "pvmutl get host"} {
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.RequestPower(tx, "shutdown", "shop/web", []string{host})
			return err
		})
		if schema.KindOf(err) != schema.KindMachineNotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
	}
}
