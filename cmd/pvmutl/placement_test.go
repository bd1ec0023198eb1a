package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/rpc/api"
)

// TestSolve solves problem files of several formats without any manager. What the
// optimizer says in words is its own matter; what it finds is not.
func TestSolve(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"testdata/cluster.problem --objective powersave", []string{"save-power", "measured load (cpu)", "1 move, 1 VM server to shut down", "web03", "servers on 2 -> 1"}},
		{"testdata/cluster.problem --objective evacuate esx01", []string{"2 moves", "web01", "web02", "esx02"}},
		{"testdata/cluster.data", []string{"h00000", "moves", "servers on 4 -> 4, VMs on 12 -> 12"}},
		{"testdata/binpack.txt", []string{"objective  create", "2 VM servers to start, 4 moves", "fewer than 2 are proven too few"}},
		{"testdata/small.vbp", []string{"objective  create", "2 VM servers to start, 3 moves"}},
		{"testdata/cluster.data --objective save-power", []string{"save-power", "VMs on 12 -> 12"}},
	} {
		con := &console{configDir: t.TempDir()}
		if code := con.app().run(context.Background(), append([]string{"placement", "solve"}, strings.Fields(c.args)...)); code != 0 {
			t.Errorf("%s: exit code %d: %s", c.args, code, con.stderr.String())
		}
		for _, want := range c.want {
			if !strings.Contains(con.stdout.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", c.args, want, con.stdout.String())
			}
		}
	}
}

func TestSolveJSON(t *testing.T) {
	con := &console{configDir: t.TempDir()}
	if code := con.app().run(context.Background(), strings.Fields("placement solve testdata/cluster.problem --objective powersave -o json")); code != 0 {
		t.Fatal(con.stderr.String())
	}
	var plan struct {
		Moves     []struct{ VM, From, To string }
		Stops     []map[string]string
		VMServers []map[string]any `json:"vm_servers"`
		Bound     int
	}
	if err := json.Unmarshal(con.stdout.Bytes(), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Moves) != 1 || plan.Moves[0].VM != "web03" || len(plan.Stops) != 1 || plan.Stops[0]["vm_server"] != "esx02" || len(plan.VMServers) != 3 || plan.Bound != 1 {
		t.Errorf("%+v", plan)
	}
	if load := plan.VMServers[0]; load["load_before"] != 9.0 || load["load_after"] != 12.0 || load["cost_after"] != 30.0 {
		t.Errorf("%v", load)
	}
}

func TestPlanRequests(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	for _, c := range []struct {
		args string
		want *api.PlacementRequest
	}{
		{"placement plan", &api.PlacementRequest{Objective: "level"}},
		{"placement plan --objective BALANCE --group infra/vmservers", &api.PlacementRequest{Objective: "level", Group: "infra/vmservers"}},
		{"placement plan --objective evacuate esx02 esx03", &api.PlacementRequest{Objective: "evacuate", VmServers: []string{"esx02", "esx03"}}},
		{"placement plan --objective create --group shop/web web13 --no-server-start",
			&api.PlacementRequest{Objective: "create", Group: "shop/web", Vms: []string{"web13"}, NoServerStart: true}},
		{"evacuate esx02 --dry-run", &api.PlacementRequest{Objective: "evacuate", VmServers: []string{"esx02"}, NoServerStart: true}},
		{"vmadd shop/web web13 --dry-run", &api.PlacementRequest{Objective: "create", Group: "shop/web", Vms: []string{"web13"}}},
	} {
		con := consoleFor(t, f)
		if code := con.app().run(context.Background(), strings.Fields(c.args)); code != 0 {
			t.Errorf("%s: exit code %d: %s", c.args, code, con.stderr.String())
		}
		if got := f.lastCall(t, "Plan").request; !proto.Equal(got, c.want) {
			t.Errorf("%s asks for %v, want %v", c.args, got, c.want)
		}
	}
	for _, call := range f.recorded() {
		if call.method == "Evacuate" || call.method == "AddVM" {
			t.Errorf("a dry run called %s", call.method)
		}
	}
}
