package vcenter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/sim"
)

// These tests show on the wire what the simulated vCenter doesn't do by itself.

// A VM that waits for an answer whether it was moved or copied gets it.
func TestMovedQuestionIsAnsweredWhilePowerOnWaits(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	ctx := context.Background()
	v := mustVM(t, d, "spare01")
	if _, err := s.Delay("power-on", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	const question = `<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>
<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="VirtualMachine">vm-1</obj><propSet><name>runtime.question</name>
<val xsi:type="VirtualMachineQuestionInfo"><id>42</id><text>moved or copied?</text>
<choice><choiceInfo xsi:type="ElementDescription"><label>button.uuid.copiedTheVM</label><summary>copied</summary><key>2</key></choiceInfo>
<choiceInfo xsi:type="ElementDescription"><label>button.uuid.movedTheVM</label><summary>moved</summary><key>1</key></choiceInfo></choice>
<message><id>msg.uuid.altered</id><text>altered</text></message></val></propSet></objects></returnval></RetrievePropertiesExResponse></Body></Envelope>`
	x.on("RetrievePropertiesEx", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("runtime.question")) {
			fmt.Fprint(w, question)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		x.forward.ServeHTTP(w, r)
	})
	answers := make(chan string, 100)
	x.on("AnswerVM", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answers <- string(body)
		fmt.Fprint(w, `<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><AnswerVMResponse xmlns="urn:vim25"/></Body></Envelope>`)
	})
	task, err := d.SetVMPower(ctx, drivers.Call{}, v.UUID, drivers.OpPowerOn)
	if err == nil {
		task, err = drivers.AwaitTask(ctx, d, task.ID, 20*time.Millisecond)
	}
	if err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	select {
	case body := <-answers:
		if !strings.Contains(body, "<questionId>42</questionId>") || !strings.Contains(body, "<answerChoice>1</answerChoice>") {
			t.Fatalf("answered %s", body)
		}
	default:
		t.Fatal("the question was not answered")
	}
}

// vCenter may tell only that something inside a property changed.
func TestFollowerReadsAgainWhatChangedInside(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	x.on("WaitForUpdatesEx", func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		x.forward.ServeHTTP(rec, r)
		body := rec.Body.String()
		if strings.Contains(body, "<kind>modify</kind>") {
			body = strings.ReplaceAll(body, "<name>runtime.powerState</name>", "<name>runtime.powerState.inside</name>")
		}
		w.WriteHeader(rec.Code)
		fmt.Fprint(w, body)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var v drivers.VM
	err := d.Follow(ctx, func(c drivers.Change) {
		switch {
		case c.VM != nil && c.VM.Name == "web01" && c.VM.Power == drivers.PowerOn:
			v = *c.VM
		case c.VM != nil && c.VM.Name == "web01" && c.VM.Power == drivers.PowerOff:
			cancel()
		case c.Synced:
			if _, err := d.SetVMPower(ctx, drivers.Call{}, v.UUID, drivers.OpPowerOff); err != nil {
				t.Error(err)
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the power-off was not told: %v", err)
	}
}

// Without a datastore in the request a moved VM goes where its new server has room.
func TestMoveChoosesADatastore(t *testing.T) {
	s := startSim(t, sim.Config{World: &sim.World{
		LocalDatastores: true, VMServers: []sim.MachineSpec{{Name: "esx01"}, {Name: "esx02"}},
		VMs: []sim.VMSpec{{Name: "a", Server: "esx01", Off: true}, {Name: "t", Server: "esx01", Template: true}},
	}})
	d := open(t, configFor(t, s))
	ctx := context.Background()
	v := mustVM(t, d, "a")
	task, err := d.Relocate(ctx, drivers.Call{}, drivers.RelocateSpec{VM: v.UUID, Server: "esx02", Mode: drivers.RelocateMove})
	if err == nil {
		task, err = drivers.AwaitTask(ctx, d, task.ID, time.Millisecond)
	}
	if err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	now := mustVM(t, d, "a")
	if now.Server != "esx02" || len(now.Datastores) != 1 || now.Datastores[0] == v.Datastores[0] {
		t.Fatalf("%+v; before %+v", now, v)
	}
	_, err = d.Clone(ctx, drivers.Call{}, drivers.CloneSpec{Template: "t", Name: "b", Server: "esx02"})
	wantKind(t, err, drivers.KindRefused)
}
