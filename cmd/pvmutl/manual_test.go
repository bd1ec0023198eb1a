package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"yagura/rpc/api"
)

// manualExamples are all examples of chapter 3.2 of the manual, to the letter,
// with the call that each makes. Those without one are wrong in the manual:
// deploysrv needs a host, and the command line is malformed.
var manualExamples = []struct {
	line   string
	method string
	want   proto.Message
}{
	{`move Category1 Grp2`, "ChangeUse", &api.ChangeUseRequest{Group: "Category1", Source: "Grp2"}},
	{`move Category1¥Grp1 Grp2 /c 10`, "ChangeUse", &api.ChangeUseRequest{Group: "Category1¥Grp1", Source: "Grp2", Count: 10}},
	{`move Category1¥Grp1 Grp2 host01`, "ChangeUse", &api.ChangeUseRequest{Group: "Category1¥Grp1", Source: "Grp2", Host: "host01"}},
	{`replace Category¥Grp1 host01`, "ReplaceMachine", &api.ReplaceMachineRequest{Group: "Category¥Grp1", Host: "host01"}},
	{`add Category1`, "AddMachines", &api.AddMachinesRequest{Group: "Category1"}},
	{`add Category1¥Grp1 Machine1`, "AddMachines", &api.AddMachinesRequest{Group: "Category1¥Grp1", Machine: "Machine1"}},
	{`add Grp1 /c 10`, "AddMachines", &api.AddMachinesRequest{Group: "Grp1", Count: 10}},
	{`addspecname Category1¥Grp1 LogicalServer1 Machine1`, "AddMachines",
		&api.AddMachinesRequest{Group: "Category1¥Grp1", Netinfo: "LogicalServer1", Machine: "Machine1"}},
	{`addspecname Grp1 192.168.1.1 Machine1`, "AddMachines", &api.AddMachinesRequest{Group: "Grp1", Netinfo: "192.168.1.1", Machine: "Machine1"}},
	{`delete Category1`, "RemoveMachines", &api.RemoveMachinesRequest{Group: "Category1"}},
	{`delete Grp1 host1`, "RemoveMachines", &api.RemoveMachinesRequest{Group: "Grp1", Host: "host1"}},
	{`delete Grp1 /c 10`, "RemoveMachines", &api.RemoveMachinesRequest{Group: "Grp1", Count: 10}},
	{`deploygrp grp1`, "Deploy", &api.DeployRequest{Group: "grp1"}},
	{`deploygrp grp1 /f /seq`, "Deploy", &api.DeployRequest{Group: "grp1", Full: true, Sequential: true}},
	{`deploygrp grp1 /f`, "Deploy", &api.DeployRequest{Group: "grp1", Full: true}},
	{`deploygrp grp1 /p "soft1"`, "Deploy", &api.DeployRequest{Group: "grp1", Software: []string{"soft1"}, Only: true}},
	{`deploygrp grp1 /p "soft1","soft2","soft3"`, "Deploy", &api.DeployRequest{Group: "grp1", Software: []string{"soft1", "soft2", "soft3"}, Only: true}},
	{`deploysrv grp1`, "", nil},
	{`deploysrv grp1 host01 /a "soft1"`, "Deploy", &api.DeployRequest{Group: "grp1", Host: "host01", Software: []string{"soft1"}}},
	{`deploysrv grp1 host01 /a "soft1","soft2"`, "Deploy", &api.DeployRequest{Group: "grp1", Host: "host01", Software: []string{"soft1", "soft2"}}},
	{`deploysrv grp1 /p "soft1"`, "", nil},
	{`deploysrv grp1 /p "soft1","soft2","soft3"`, "", nil},
	{`deploysrv grp1 host01 /f`, "Deploy", &api.DeployRequest{Group: "grp1", Host: "host01", Full: true}},
	{`deploypsv Machine01 "soft1"`, "Deploy", &api.DeployRequest{Machine: "Machine01", Software: []string{"soft1"}, Only: true}},
	{`deploypsv Machine01 "soft1","soft2"`, "Deploy", &api.DeployRequest{Machine: "Machine01", Software: []string{"soft1", "soft2"}, Only: true}},
	{`maintenance on grp1`, "SetMaintenance", &api.SetMaintenanceRequest{On: true, Group: "grp1"}},
	{`maintenance off grp1 host01`, "SetMaintenance", &api.SetMaintenanceRequest{Group: "grp1", Host: "host01"}},
	{`list group`, "List", &api.ListRequest{Kind: "Model"}},
	{`list server grp1`, "GroupMachines", &api.GroupRequest{Group: "grp1"}},
	{`list soft grp1`, "GroupMachines", &api.GroupRequest{Group: "grp1"}},
	{`shutdown grp1 host01`, "Power", powerOf("shutdown", "host01")},
	{`shutdown grp1 host01 host02 host03`, "Power", powerOf("shutdown", "host01", "host02", "host03")},
	{`shutdown grp1`, "Power", powerOf("shutdown")},
	{`reboot grp1 host01`, "Power", powerOf("reboot", "host01")},
	{`reboot grp1 host01 host02 host03`, "Power", powerOf("reboot", "host01", "host02", "host03")},
	{`reboot grp1`, "Power", powerOf("reboot")},
	{`poweron grp1 host01`, "Power", powerOf("poweron", "host01")},
	{`poweron grp1 host01 host02 host03`, "Power", powerOf("poweron", "host01", "host02", "host03")},
	{`poweron grp1`, "Power", powerOf("poweron")},
	{`vmadd Category1¥Grp1 VM01 /VMS Vms01 /VMFS [VMFS01] /NETINFO 192.168.1.100 /a`, "AddVM",
		&api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", VmServer: "Vms01", Datastore: "[VMFS01]", Netinfo: "192.168.1.100", Existing: true}},
	{`vmadd Category1¥Grp1 VM01 /VMS Vms01 /NETINFO 192.168.1.100 /a`, "AddVM",
		&api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", VmServer: "Vms01", Netinfo: "192.168.1.100", Existing: true}},
	{`vmadd Category1¥Grp1 VM01 /NETINFO 192.168.1.100`, "AddVM", &api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", Netinfo: "192.168.1.100"}},
	{`vmdelete Category¥ParentGrp1¥Grp1 host01 /d`, "DeleteVM", &api.DeleteVMRequest{Group: "Category¥ParentGrp1¥Grp1", Host: "host01", Keep: true}},
	{`vmdelete Category`, "DeleteVM", &api.DeleteVMRequest{Group: "Category"}},
	{`vmmigrate Category1¥Grp1 host01 VMS01`, "MigrateVM", &api.MigrateVMRequest{Group: "Category1¥Grp1", Host: "host01", VmServer: "VMS01"}},
	{`vmmigrateandmove Category1¥Grp1 host01 VMS01`, "MigrateVM",
		&api.MigrateVMRequest{Group: "Category1¥Grp1", Host: "host01", VmServer: "VMS01", Move: true}},
	{`asjob`, "ListJobs", &api.ListJobsRequest{}},
	{`ascancel`, "ListJobs", &api.ListJobsRequest{All: true}},
	{`ascancel 00011`, "CancelJob", &api.JobRequest{Id: "00011"}},
	{`changepassword user01 pvmuser1 pvmuser2`, "ChangePassword",
		&api.ChangePasswordRequest{User: "user01", OldPassword: "pvmuser1", NewPassword: "pvmuser2"}},
	{`policy show category1`, "ShowPolicy", &api.GroupRequest{Group: "category1"}},
	{`policy show group1-1`, "ShowPolicy", &api.GroupRequest{Group: "group1-1"}},
	{`policy show`, "ShowPolicy", &api.GroupRequest{}},
	{`policy set grp1 policy2`, "SetPolicy", &api.SetPolicyRequest{Group: "grp1", Policy: "policy2"}},
	{`policy set grp1`, "SetPolicy", &api.SetPolicyRequest{Group: "grp1"}},
	{`policy set grp1 /y`, "SetPolicy", &api.SetPolicyRequest{Group: "grp1"}},
}

func powerOf(op string, hosts ...string) proto.Message {
	return &api.PowerRequest{Op: op, Group: "grp1", Hosts: hosts}
}

// TestManualExamples runs each example and looks at the call that comes out,
// with the backslash in place of the yen sign, too. Questions are answered with yes.
func TestManualExamples(t *testing.T) {
	for _, yen := range []string{"¥", `\`} {
		for _, test := range manualExamples {
			line := strings.ReplaceAll(test.line, "¥", yen)
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				f.loadCanned(t)
				c := consoleFor(t, f)
				c.tty, c.stdin = true, "y\n"
				code := c.run(shellWords(line)...)
				if test.want == nil {
					if calls := f.recorded(); code != exitUsage || len(calls) > 0 {
						t.Fatalf("exit code %d, %d calls", code, len(calls))
					}
					return
				}
				if code != 0 {
					t.Fatalf("exit code %d: %s", code, c.stderr.String())
				}
				got := f.lastCall(t, test.method).request
				if text := strings.ReplaceAll(prototext.Format(got), `\\`, "¥"); text != strings.ReplaceAll(prototext.Format(test.want), `\\`, "¥") {
					t.Errorf("call %s\nwant %s", text, prototext.Format(test.want))
				}
			})
		}
	}
}

// shellWords takes a line apart as a shell does: at the spaces, and without the
// quotation marks.
func shellWords(line string) []string {
	var words []string
	for _, word := range strings.Fields(line) {
		words = append(words, strings.ReplaceAll(word, `"`, ""))
	}
	return words
}
