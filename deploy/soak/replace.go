package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/drivers"
	"yagura/drivers/redfish"
	"yagura/drivers/sim"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// replaceSteps is how many steps the replacement of a physical machine has.
const replaceSteps = 15

// replacements lets the machine of db01 die, management controller and all,
// once for each of the 15 steps of the replacement that follows, and kills the
// leader at that step: the job must end well on another manager, with nothing
// done twice and no volume on two machines.
func replacements(ctx context.Context, s *soak) error {
	// One host is replaced again and again here, which automation would refuse.
	if err := s.apply(ctx, "Settings", "cluster", map[string]any{"replace_hold_seconds": 1, "storm_machines": 1000}); err != nil {
		return err
	}
	for _, op := range []string{"lb-drain", "lb-remove", "vlan-remove", "disconnect", "connect", "host-power-on", "lb-add", "vlan-add"} {
		if _, err := s.sim.Delay(ctx, op, 300*time.Millisecond); err != nil {
			return err
		}
	}
	for step := 1; step <= replaceSteps; step++ {
		if err := s.replacement(ctx, step); err != nil {
			return fmt.Errorf("leader killed at step %d: %w", step, err)
		}
	}
	_, err := s.sim.Clear(ctx)
	return err
}

func (s *soak) apply(ctx context.Context, kind, name string, spec map[string]any) error {
	fields, err := structpb.NewStruct(spec)
	if err != nil {
		return err
	}
	_, err = api.NewInventoryClient(s.client).Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{{Kind: kind, Name: name, Spec: fields}}})
	return err
}

// replacement is one replacement with the leader killed at one step.
func (s *soak) replacement(ctx context.Context, step int) error {
	old, err := s.machineOf(ctx, "db01")
	if err != nil {
		return err
	}
	before, err := sim.ReadLedger(s.bed.Path("sim.ledger.jsonl"))
	if err != nil {
		return err
	}
	known, err := s.jobs(ctx)
	if err != nil {
		return err
	}
	if _, err := s.sim.HostDown(ctx, old, true); err != nil {
		return err
	}
	from := time.Now()
	if err := s.inform(ctx, "db01", "0xC0000002"); err != nil {
		return err
	}
	var id string
	var name string
	if err := until(ctx, time.Minute, fmt.Sprintf("no job comes to step %d", step), func(ctx context.Context) (bool, error) {
		jobs, err := s.jobs(ctx)
		for jid, j := range jobs {
			if known[jid] == nil && j.Sequence == "TakeOverMachine" {
				id = jid
			}
		}
		if err != nil || id == "" {
			return false, err
		}
		info, err := api.NewJobsClient(s.client).GetJob(ctx, &api.JobRequest{Id: id})
		if err != nil {
			return false, err
		}
		if len(info.Steps) != replaceSteps {
			return false, fmt.Errorf("job %s has %d steps", id, len(info.Steps))
		}
		name = info.Steps[step-1].Name
		return info.Steps[step-1].State != schema.StepPending, nil
	}); err != nil {
		return err
	}
	dead, err := s.bed.Leader(ctx)
	if err != nil {
		return err
	}
	if err := s.bed.Kill(ctx, s.bed.Nodes[dead].ID); err != nil {
		return err
	}
	job, err := s.ends(ctx, id)
	if err != nil {
		return err
	}
	took := time.Since(from)
	substitute, err := s.machineOf(ctx, "db01")
	if err != nil {
		return err
	}
	if substitute == old {
		return fmt.Errorf("job %s ended well and db01 still runs on %s", id, old)
	}
	if err := s.onceAndApart(before, substitute); err != nil {
		return err
	}
	fmt.Printf("leader %s killed at step %d (%s): job %s, db01 on %s in the place of %s in %v\n",
		s.bed.Nodes[dead].ID, step, name, id, substitute, old, took.Round(10*time.Millisecond))
	if note := strings.Join(job.Log, "; "); note != "" {
		fmt.Printf("  %s\n", note)
	}
	if err := s.bed.StartNode(dead); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	return s.repair(ctx, old)
}

// ends waits until a job has succeeded.
func (s *soak) ends(ctx context.Context, id string) (*schema.Job, error) {
	var job *schema.Job
	err := until(ctx, time.Minute, "job "+id+" doesn't end", func(ctx context.Context) (bool, error) {
		info, err := api.NewJobsClient(s.client).GetJob(ctx, &api.JobRequest{Id: id})
		job = info.GetJob()
		if err == nil && job.State == schema.JobParked {
			return false, errors.New(job.Parked)
		}
		return err == nil && schema.JobEnded(job.State), err
	})
	if err == nil && job.State != schema.JobSucceeded {
		err = fmt.Errorf("job %s %s: %s", id, job.State, job.Error)
	}
	return job, err
}

// machineOf is the machine that runs under a host of the databases.
func (s *soak) machineOf(ctx context.Context, host string) (string, error) {
	ms, err := s.machines(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range ms {
		if m.Group == "db" && m.Host == host {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("no machine runs under %s", host)
}

// onceAndApart wants no effect twice since a moment, and db01's volume at its
// machine only, at every moment.
func (s *soak) onceAndApart(before []sim.Entry, machine string) error {
	after, err := sim.ReadLedger(s.bed.Path("sim.ledger.jsonl"))
	if err != nil {
		return err
	}
	if err := once(after[len(before):]); err != nil {
		return err
	}
	holders := map[string]bool{sim.Initiator("ph01"): true} // as the world begins
	for _, e := range after {
		volume, initiator, _ := strings.Cut(e.Object, " ")
		if volume != "db01-data" || !e.OK() {
			continue
		}
		switch string(e.Op) {
		case "connect":
			holders[initiator] = true
		case "disconnect":
			delete(holders, initiator)
		}
		if len(holders) > 1 {
			return fmt.Errorf("volume db01-data was connected to two machines: %v", holders)
		}
	}
	if !holders[sim.Initiator(machine)] {
		return fmt.Errorf("volume db01-data is connected to %v, db01 runs on %s", holders, machine)
	}
	return nil
}

// repair is what a person does with a machine that was replaced: it is switched
// off, since it was only isolated, and its hardware status set to normal.
func (s *soak) repair(ctx context.Context, machine string) error {
	if _, err := s.sim.HostUp(ctx, machine); err != nil {
		return err
	}
	if err := s.switchOff(ctx, machine); err != nil {
		return err
	}
	if _, err := api.NewInventoryClient(s.client).Collect(ctx, &api.CollectRequest{}); err != nil {
		return err
	}
	if err := until(ctx, 30*time.Second, machine+" isn't read as off", func(ctx context.Context) (bool, error) {
		ms, err := s.machines(ctx)
		return err == nil && ms[machine].Power == schema.PowerOff, err
	}); err != nil {
		return err
	}
	return s.apply(ctx, "Machine", machine, map[string]any{"hardware_status": schema.HardwareNormal})
}

// switchOff switches a machine off at its BMC, as with a press of its button.
func (s *soak) switchOff(ctx context.Context, machine string) error {
	e, err := sim.ReadEndpoints(s.bed.Dir)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(s.bed.Path("ca.pem"))
	if err != nil {
		return err
	}
	password, err := os.ReadFile(s.bed.Path("sim.password"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p := redfish.New("bmc", func(string) (redfish.Machine, bool) {
		return redfish.Machine{URL: e.BMCs[machine], User: e.BMCUser, Password: strings.TrimSpace(string(password)), CAs: pool}, true
	}, 0)
	return until(ctx, 20*time.Second, machine+" can't be switched off", func(ctx context.Context) (bool, error) {
		if _, err := p.SetPower(ctx, drivers.Call{Token: "button"}, machine, drivers.OpPowerOff); err != nil {
			return false, err
		}
		state, err := p.PowerState(ctx, machine)
		return state == drivers.PowerOff, err
	})
}
