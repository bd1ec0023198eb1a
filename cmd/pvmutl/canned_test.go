package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// at is a fixed moment, some seconds after noon.
func at(seconds int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 23, 12, 0, seconds, 0, time.UTC))
}

func newStruct(t *testing.T, text []byte) *structpb.Struct {
	t.Helper()
	s := new(structpb.Struct)
	if err := protojson.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// object makes an object as a manager sends it.
func object(t *testing.T, kind, name string, row proto.Message, spec string) *api.Object {
	t.Helper()
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	return &api.Object{Kind: kind, Name: name, Row: newStruct(t, text), Spec: newStruct(t, []byte(spec))}
}

func web01() *schema.Machine {
	return &schema.Machine{
		Name: "web01", Uuid: "4203-01", Kind: schema.MachineVM, Subsystem: "vc1", Managed: true, Power: schema.PowerOn,
		HardwareStatus: schema.HardwareNormal, Status: schema.StatusReady, Group: "web", Host: "web01", Model: "web-vm",
		VmServer: "esx01", MemoryMib: 4096, Cpus: 2, Collected: at(5), Nics: []*schema.NIC{{Mac: "00:50:56:00:00:01"}},
		Bmc: &schema.Bmc{Kind: "redfish", Password: []byte("sealed"), PasswordSet: true},
	}
}

func ph03() *schema.Machine {
	return &schema.Machine{
		Name: "ph03", Kind: schema.MachinePhysical, Managed: true, Power: schema.PowerOff, HardwareStatus: schema.HardwareUnknown,
		Status: schema.StatusAbnormal, StatusReason: "step failed", PoolGroups: []string{"db", "web"}, Maintenance: true,
	}
}

// ph01 is a physical machine in operation, with all that is known of one.
func ph01() *schema.Machine {
	return &schema.Machine{
		Name: "ph01", Uuid: "4203-aa", Kind: schema.MachinePhysical, Managed: true, Power: schema.PowerOn, HardwareStatus: schema.HardwareNormal,
		Status: schema.StatusReady, Group: "db", Host: "db01", Model: "db-server", PoolGroups: []string{"db"}, Origin: "db",
		Nics: []*schema.NIC{{Mac: "52:54:00:00:00:01", Network: "sw1", Port: "eth1"}}, ModelName: "Express5800/R120",
		Bmc:        &schema.Bmc{Kind: "redfish", Address: "https://127.0.0.21:8443", User: "bmc", PasswordSet: true},
		Initiators: []string{"iqn.2026-11.example:ph01"}, Monitored: at(4), Replaced: at(3),
		Hardware:    map[string]string{"serial": "7C001", "manufacturer": "NEC", "memory_mib": "65536", "cpus": "2", "firmware": "1.2"},
		Distributed: []*schema.DistributedSoftware{{Name: "agent", Slot: "group/run", Time: at(2)}},
	}
}

// jobIn makes a job in a state, with a step for each word in steps.
func jobIn(id, state string, progress int32, steps ...string) *api.JobInfo {
	info := &api.JobInfo{Job: &schema.Job{
		Id: id, Sequence: "MoveMachine", State: state, Progress: progress, Manager: "node1", Created: at(0), Started: at(1),
		CreatedBy: "admin", Reason: "balance", Targets: []string{"web01"}, Group: "web", Params: map[string]string{"to": "esx02", "machine": "web01"},
	}}
	if schema.JobEnded(state) {
		info.Job.Ended = at(9)
	}
	for i, s := range steps {
		info.Steps = append(info.Steps, &schema.Step{
			Job: id, Number: int32(i + 1), Name: "migrate-vm", Target: "web01", State: s, Attempt: 1, Manager: "node1", Started: at(2),
		})
		if s != schema.StepPending {
			info.Job.Current = int32(i + 1)
		}
	}
	return info
}

func failed(info *api.JobInfo, kind schema.Kind, msg string) *api.JobInfo {
	info.Job.ErrorKind, info.Job.Error = string(kind), msg
	return info
}

// groupJob is a job that distributes to a group: to one machine well, to
// one it failed, and one wasn't reached.
func groupJob() *api.JobInfo {
	info := failed(jobIn("00014", schema.JobFailed, 60, schema.StepDone, schema.StepSkipped, schema.StepFailed, schema.StepPending), schema.KindJobFailed, "ph02: scenario base failed")
	info.Job.Sequence, info.Job.Targets, info.Job.Group = "DistributeSoftwareToMachinesInGroup", []string{"ph01", "ph02", "ph03"}, "db"
	info.Job.Params = map[string]string{"group": "db"}
	for i, s := range info.Steps {
		s.Name, s.Target = "distribute-software", []string{"ph01", "ph01", "ph02", "ph03"}[i]
		s.Args = map[string]string{"software": []string{"agent", "", "base", "base"}[i]}
		s.Description = []string{"agent, registered for the group", "", "base, registered for the model", "base, registered for the model"}[i]
	}
	info.Steps[0].Ended, info.Steps[0].Tail = at(4), "PLAY [all] ***\nok: [ph01]\x1b[0m\r\n"
	info.Steps[1].Skipped, info.Steps[1].Attempt, info.Steps[1].Started = "nothing is registered for the machine", 0, nil
	info.Steps[2].Error, info.Steps[2].Ended, info.Steps[2].Tail = "scenario base failed: exit status 2", at(9), "fatal: [ph02]: UNREACHABLE!"
	info.Steps[3].Attempt, info.Steps[3].Started = 0, nil
	info.Steps[2].UndoState, info.Steps[2].UndoError = schema.StepFailed, "no answer"
	info.Job.Current = 3
	return info
}

// loadCanned gives the manager an answer for every method.
func (f *fakeManager) loadCanned(t *testing.T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	event := &schema.Event{
		Id: "42", Time: at(3), Node: "node2", Notifier: schema.NotifierSNMP, Source: "ESMDSVNT", EventId: "0xC0000002", Target: "esx02",
		Severity: "error", Text: "fan\nstopped \x1b[31m", Category: "target-inaccessible", State: schema.EventHandled,
		Decision: schema.DecisionActed, Reason: "policy standard-vms, rule inaccessible", Jobs: []string{"00011"},
		Actions:  []*schema.ActionRecord{{Action: "move-all-vms", Result: "started", Job: "00011"}},
		Varbinds: map[string]string{"1.3.6.1.4.1.119.2.2.4.4.100.2": "0xC0000002", "1.3.6.1.4.1.119.2.2.4.4.100.1": "ESMDSVNT"},
	}
	running := jobIn("00012", schema.JobRunning, 50, schema.StepDone, schema.StepStarted)
	child := jobIn("00013", schema.JobQueued, 0)
	child.Job.Parent, child.Job.Waiting, child.Job.Started = "00012", "machine/web01, held by job 00012", nil
	done := jobIn("00011", schema.JobSucceeded, 100, schema.StepDone)
	done.Steps[0].Handle, done.Steps[0].Resumed, done.Steps[0].Ended, done.Steps[0].Manager = "task-7", true, at(8), "node3"
	done.Job.Log = []string{"node3 took the job over at step 1"}
	jobs := &api.JobsReply{Jobs: []string{"00011"}}
	group := &schema.Group{Name: "web", Category: "shop", Kind: schema.MachineVM, Policy: "standard-vm", Priority: 3}
	standard := &schema.Policy{Name: "standard-vm", Description: "standard for VMs", Builtin: true, Rules: []*schema.PolicyRule{{Name: "cpu"}}}

	f.jobs["00011"] = []*api.JobInfo{jobIn("00011", schema.JobRunning, 10, schema.StepStarted), done}
	for method, answer := range map[string]proto.Message{
		"Login":          &api.LoginReply{Token: "token-1", Expires: at(30), Role: schema.RoleAdministrator},
		"Logout":         &api.Empty{},
		"ChangePassword": &api.Empty{},
		"SetUser":        &schema.User{Name: "tanaka", Role: schema.RoleOperator},
		"DeleteUser":     &api.Empty{},
		"ListUsers": &api.ListUsersReply{Users: []*schema.User{
			{Name: "admin", Role: schema.RoleAdministrator, Created: at(0), Changed: at(1), PasswordHash: []byte("$argon2id$")},
			{Name: "田中", Role: schema.RoleOperator, Description: "夜間"},
		}},

		"Apply": &api.ApplyReply{Applied: []*api.Applied{
			{Kind: "Group", Name: "web", Action: "changed", Changes: []string{"priority: 0 -> 3"}},
			{Kind: "Model", Name: "web/web-vm", Action: "created"},
			{Kind: "Category", Name: "shop", Action: "unchanged"},
		}},
		"Get":          object(t, "Group", "web", group, `{"category":"shop","kind":"vm","priority":3,"templates":["tmpl-web"],"description":"yes"}`),
		"Get Machine":  object(t, "Machine", "ph01", ph01(), `{}`),
		"Get Category": object(t, "Category", "shop/old", &schema.Category{Path: "shop/old"}, `{}`),
		"List Vlan": &api.ListReply{Objects: []*api.Object{
			object(t, "Vlan", "db-lan", &schema.Vlan{Name: "db-lan", Id: 110, Kind: "port", Description: "databases"}, `{"id":110}`),
		}},
		"List LoadBalancer": &api.ListReply{Objects: []*api.Object{
			object(t, "LoadBalancer", "db-front", &schema.LoadBalancer{Name: "db-front", Subsystem: "lb1", Port: 5432, DrainSeconds: 30}, `{"subsystem":"lb1"}`),
		}},
		"List SnmpUser": &api.ListReply{Objects: []*api.Object{
			object(t, "SnmpUser", "ups", &schema.SnmpUser{Name: "ups", Auth: "sha256", AuthKeySet: true, Priv: "aes", PrivKeySet: true, EngineId: "8000000001020304"}, `{"auth":"sha256","priv":"aes"}`),
		}},
		"List Category": &api.ListReply{Objects: []*api.Object{
			object(t, "Category", "infra", &schema.Category{Path: "infra"}, `{}`),
			object(t, "Category", "shop", &schema.Category{Path: "shop", Priority: 1, Disarm: &schema.Disarm{By: "admin", Since: at(0), Reason: "move"}}, `{}`),
			object(t, "Category", "shop-2", &schema.Category{Path: "shop-2", Description: "業務グループ用"}, `{}`),
			object(t, "Category", "shop/old", &schema.Category{Path: "shop/old"}, `{}`),
		}},
		"List Group": &api.ListReply{Objects: []*api.Object{
			object(t, "Group", "lab", &schema.Group{Name: "lab"}, `{"kind":"vm"}`),
			object(t, "Group", "web", group, `{"category":"shop","kind":"vm","priority":3}`),
		}},
		"List Model": &api.ListReply{Objects: []*api.Object{
			object(t, "Model", "web/web-vm", &schema.Model{Group: "web", Name: "web-vm", Kind: schema.MachineVM, Cost: 10, Capacity: 1 << 40}, `{"kind":"vm"}`),
		}},
		"List Host": &api.ListReply{Objects: []*api.Object{
			object(t, "Host", "web/web01", &schema.Host{Group: "web", Name: "web01", Machine: "web01",
				Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.168.1.1"}}}}}, `{}`),
			object(t, "Host", "web/web02", &schema.Host{Group: "web", Name: "web02"}, `{}`),
		}},
		"List Machine": &api.ListReply{Machines: []*schema.Machine{{Name: "esx01", Kind: schema.MachineVMServer}, ph03(), {Name: "spare01", Kind: schema.MachineVM, Managed: true}, web01()}},
		"List Machine specs": &api.ListReply{Objects: []*api.Object{
			{Kind: "Machine", Name: "ph03", Spec: newStruct(t, []byte(`{"kind":"physical","managed":true}`))},
			{Kind: "Machine", Name: "web01", Spec: newStruct(t, []byte(`{"group":"web","host":"web01","managed":true}`))},
		}},
		"List Subsystem": &api.ListReply{Objects: []*api.Object{
			object(t, "Subsystem", "vc1", &schema.Subsystem{Name: "vc1", Kind: "vcenter", Address: "https://127.0.0.21:8989", Collected: at(2)}, `{}`),
		}},
		"List Software": &api.ListReply{Objects: []*api.Object{
			object(t, "Software", "tmpl-web", &schema.Software{Name: "tmpl-web", Kind: "template", Subsystem: "vc1"}, `{}`),
		}},
		"List Policy": &api.ListReply{Objects: []*api.Object{object(t, "Policy", "standard-vm", standard, `{}`)}},
		"List TrapRule": &api.ListReply{Objects: []*api.Object{
			object(t, "TrapRule", "esmpro", &schema.TrapRule{Name: "esmpro", Oid: "1.3.6.1.4.1.119", Notifier: "SystemMonitorEvent", Source: "${1.3}", EventId: "x"}, `{}`),
		}},
		"List Receiver": &api.ListReply{Objects: []*api.Object{
			object(t, "Receiver", "broken", &schema.Receiver{Name: "broken", Kind: "syslog", Address: "tls://logs.example:6514", MinSeverity: "info", Language: "en", Waiting: 12, Lost: 3,
				Error: "broken: syslog tls://logs.example:6514: unreachable: connection refused"}, `{}`),
			object(t, "Receiver", "oncall", &schema.Receiver{Name: "oncall", Kind: "mail", Address: "mail.example", MinSeverity: "warning", Language: "ja", Sent: 7, LastSuccess: at(3), Disabled: true}, `{}`),
		}},
		"Get Receiver": object(t, "Receiver", "broken", &schema.Receiver{Name: "broken", Kind: "syslog", Error: "connection refused", LastFailure: at(5)}, `{}`),
		"TestReceiver": &schema.Notice{Id: "31", Receiver: "oncall", Event: "42", Severity: "error", State: "waiting", Created: at(4)},
		"GetNotice":    &schema.Notice{Id: "31", Receiver: "oncall", Event: "42", Severity: "error", State: "sent", Created: at(4), Ended: at(5), Attempts: 1, Message: "c0ffee-31"},
		"ListNotices": &api.ListNoticesReply{Notices: []*schema.Notice{
			{Id: "30", Receiver: "broken", Event: "41", Severity: "info", State: "lost", Created: at(1), Ended: at(2), Attempts: 99, Error: "connection refused"},
			{Id: "31", Receiver: "oncall", Event: "42", Severity: "error", State: "sent", Created: at(4), Ended: at(5), Attempts: 1, Message: "c0ffee-31"},
		}},
		"List Settings": &api.ListReply{Objects: []*api.Object{
			object(t, "Settings", "cluster", &schema.Settings{Key: "cluster", Cluster: "c-1", Feature: 1}, `{}`),
		}},
		"Unset":   &api.Empty{},
		"Collect": jobs,
		"GroupMachines": &api.GroupMachinesReply{Group: "web", Running: []*schema.Machine{web01()}, Pool: []*schema.Machine{ph03()},
			Software: []string{"tmpl-web", "agent"}},
		"GroupMachines db": &api.GroupMachinesReply{Group: "db", Running: []*schema.Machine{ph01(), {Name: "db02", Host: "db02", Group: "db"}},
			Pool: []*schema.Machine{{Name: "ph02", HardwareStatus: schema.HardwareFailed, Status: schema.StatusAbnormal}, {Name: "ph04"}}},
		"SetMaintenance": &api.SetMaintenanceReply{Machines: []string{"web01", "web02"}},
		"ShowPolicy": &api.ShowPolicyReply{
			Settings: []*api.PolicySetting{{Group: "web", Policy: "standard-vm", Models: []*api.PolicySetting{{Group: "web-vm"}}}},
			Policies: []*schema.Policy{standard},
		},
		"TestTrap": &api.TestTrapReply{
			Version: "v2c", Agent: "192.0.2.7", TrapOid: "1.3.6.1.6.3.1.1.5.3",
			Varbinds: []*api.Varbind{{Oid: "1.3.6.1.2.1.2.2.1.1.7", Value: "7"}},
			Rules:    []*api.RuleVerdict{{Rule: "esmpro", Why: "the notification's OID isn't below 1.3.6.1.4.1.119.2.2.4.4.0.1"}, {Rule: "snmp-linkDown", Matches: true}},
			Event: &schema.Event{
				Notifier: "SNMP", Source: "SNMPv2-MIB", EventId: "linkDown", TargetHint: "192.0.2.7", Severity: "warning", Text: "A link went down: interface 7",
			},
			Decision: &api.PolicyDecision{Decision: "ignored", Reason: "No machine is known as 192.0.2.7."},
		},
		"PreviewPolicy": &api.PreviewPolicyReply{Cases: []*api.PolicyCase{
			{Machine: "ph01", Host: "db01", Group: "db",
				Decision: &api.PolicyDecision{Decision: "suppressed", Reason: "policy standard of group db, rule \"down\" waits 1m0s for a recovery.", Policy: "standard", Rule: "down", WaitSeconds: 60},
				Then: &api.PolicyDecision{Decision: "acted", Reason: "policy standard of group db, rule \"down\": notify, replace-machine.", Policy: "standard", Rule: "down", Actions: []*api.PolicyAction{
					{Action: "notify", Effect: "writes it to the event log", CarriedOut: true},
					{Action: "replace-machine", Effect: "starts TakeOverMachine: ph03 is the only one", Sequence: "TakeOverMachine", Params: map[string]string{"host": "db01"}, CarriedOut: true},
				}}},
			{Machine: "vm1", Decision: &api.PolicyDecision{Decision: "ignored", Reason: "no policy is set.", Actions: []*api.PolicyAction{{Action: "replace-machine", Effect: "it is a vm"}}}},
		}},
		"SetPolicy": &api.Empty{},
		"Arm":       &api.ArmReply{State: "disarmed below shop"},

		"Power": jobs, "AddVM": jobs, "DeleteVM": jobs, "MigrateVM": jobs, "Evacuate": jobs,
		"ReplaceMachine": jobs, "ChangeUse": jobs, "AddMachines": jobs, "RemoveMachines": jobs, "Deploy": jobs, "ChangePool": jobs, "DestroyVM": jobs,

		"ListJobs":    &api.ListJobsReply{Jobs: []*api.JobInfo{done, running, child}},
		"GetJob":      done,
		"CancelJob":   &api.Empty{},
		"ResumeJob":   &api.Empty{},
		"RollbackJob": &api.Empty{},
		"ListLocks": &api.ListLocksReply{
			Locks:   []*schema.Lock{{Object: "machine/web01", Job: "00012", Since: at(1)}},
			Waiting: []*schema.Job{child.Job},
		},
		"ListEvents": &api.ListEventsReply{Events: []*schema.Event{event}},
		"GetEvent":   event,
		"ListAudit": &api.ListAuditReply{Audit: []*schema.Audit{
			{Id: "7", Time: at(1), User: "admin", From: "127.0.0.1", Node: "node1", Op: "SetPolicy", Objects: []string{"group/web"}, Reason: "drill", Index: 99},
		}},
		"ListNodes": &api.ListNodesReply{Nodes: []*api.Node{
			{Id: "node1", Address: "127.0.0.11:26102", Role: "leader", AppliedIndex: 1 << 40, Version: "v1", Alive: true, Ready: true, LastContact: at(9)},
			{Id: "node2", Address: "127.0.0.12:26102", Role: "non-voter", AppliedIndex: 12},
		}},
		"Plan": &api.PlacementPlan{
			Objective: "level", Scope: "VM servers of vmservers", Measured: []string{"cpu", "mem"},
			Starts:     []*api.PlacementAction{{VmServer: "esx03", Reason: "the servers that run stay above their high-load boundary without it"}},
			Moves:      []*api.PlacementMove{{Vm: "web01", From: "esx01", To: "esx03", Kind: "hot-migrate", Wave: 1, Reason: "evens out the load: esx01 was at 90 %, esx03 at 0 %"}},
			Stops:      []*api.PlacementAction{{VmServer: "esx04", Reason: "no running VM is left on it"}},
			Unplaced:   []*api.PlacementUnplaced{{Vm: "web02", Reasons: []*api.PlacementRejection{{Vm: "web02", VmServer: "esx02", Rule: "maintenance", Message: "esx02 is in maintenance mode"}}}},
			Rejections: []*api.PlacementRejection{{VmServer: "esx01", Rule: "needed", Message: "esx01 is needed"}},
			VmServers:  []*api.PlacementLoad{{VmServer: "esx01", Before: "on", After: "on", Capacity: 200, CostBefore: 20, CostAfter: 10, VmsBefore: 2, VmsAfter: 1, LoadBefore: 90, LoadAfter: 45}},
			Before:     &api.PlacementTotals{VmServersOn: 3, VmsOn: 2, Capacity: 600, Cost: 20, Score: 0.4}, After: &api.PlacementTotals{VmServersOn: 3, VmsOn: 2, Capacity: 600, Cost: 20},
			Picture: "server  before  after\nesx01   #####   ##\n",
		},
		"Performance": &api.PerformanceReply{
			Machine: "ph01", Series: []*api.Series{
				{Metric: "cpu", Samples: []*api.Sample{{Time: at(0), Value: 5, Manager: "node1"}, {Time: at(10), Value: 55, Manager: "node1"}, {Time: at(50), Value: 95.5, Manager: "node2"}}},
				{Metric: "disk", Samples: []*api.Sample{{Time: at(50), Value: 61, Manager: "node2"}}},
			},
			Thresholds: []*schema.Threshold{{Event: "10000001", Metric: "cpu", Value: 90, Times: 2, Recovery: "10000002"}, {Event: "11000001", Metric: "memory", Value: 20, Below: true}},
			Crossed:    []*schema.Crossing{{Event: "10000001", Metric: "cpu", Since: at(50), Host: "db/db01"}},
			Problems:   []string{"manager node2: missing: memory: the agent has neither memTotalReal nor RAM in hrStorageTable"},
		},
		"Explain": &api.Explanation{
			Name: "web01", Kind: "vm", Facts: []string{"It is on esx01, on, and costs 10 of its VM server's capacity while it is on."},
			Choices: []*api.PlacementChoice{{VmServer: "esx02", Possible: true, Free: 170}, {VmServer: "esx03", Possible: true, Stopped: true, Free: 200}, {VmServer: "esx04", Why: "esx04 is in maintenance mode"}},
			Load:    &api.PlacementLoad{VmServer: "esx01", Before: "on", Capacity: 200, CostBefore: 30, VmsBefore: 3, LoadBefore: 15},
			Moves:   []*api.PlacementMove{{Vm: "web01", From: "esx01", To: "esx02", Kind: "hot-migrate", Wave: 1, Reason: "esx01 is emptied"}},
		},
		"RemoveNode": &api.Empty{},
		"Transfer":   &api.NodeRequest{Id: "node2"},
		"Status": &api.StatusReply{Node: "node1", Leader: "node1", LeaderAddress: "127.0.0.11:26102", Ready: true, AppliedIndex: 5, Term: 2,
			TrapsDropped: map[string]uint64{"malformed": 1}, Automation: "disarmed by admin: move"},
	} {
		f.answers[method] = answer
	}
}

// loadMixed adds the commands whose jobs don't all succeed: those of "add", and
// that of "deploygrp".
func (f *fakeManager) loadMixed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs["00014"] = []*api.JobInfo{groupJob()}
	f.jobs["00015"] = []*api.JobInfo{jobIn("00015", schema.JobSucceeded, 100, schema.StepDone)}
	f.jobs["00015"][0].Job.Targets, f.jobs["00015"][0].Job.Params = []string{"ph03"}, map[string]string{"host": "db03"}
	f.jobs["00016"] = []*api.JobInfo{failed(jobIn("00016", schema.JobFailed, 0, schema.StepPending), schema.KindTooFewMachines, "pool db: it is empty")}
	parked := jobIn("00017", schema.JobParked, 20, schema.StepStarted)
	parked.Job.Parked, parked.Job.ResumeWords = "the BMC of ph01 doesn't answer", []string{"off"}
	f.jobs["00017"] = []*api.JobInfo{parked}
	f.answers["AddMachines"] = &api.JobsReply{Jobs: []string{"00015", "00016", "00017"}}
	f.answers["Deploy group"] = &api.JobsReply{Jobs: []string{"00014"}}
	f.answers["GetJob 00014"] = groupJob()
}
