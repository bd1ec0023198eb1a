package main

import (
	"strings"
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// TestManualExitCodes holds the exit code of every cause in the manual's table
// [3.2.1], for a command that can meet it. That the managers give these kinds
// of errors is the business of the tests of package rpc.
func TestManualExitCodes(t *testing.T) {
	inside := failed(jobIn("00007", schema.JobFailed, 50, schema.StepDone, schema.StepFailed), schema.KindUnavailable, "no answer")
	before := failed(jobIn("00007", schema.JobFailed, 0, schema.StepPending), schema.KindNotStarted, "the machine is suspended")
	seen := map[int]bool{}
	for _, test := range []struct {
		code  int
		cause string
		line  string
		// How the manager answers: with an error to a method, or with a job.
		method string
		kind   schema.Kind
		job    *api.JobInfo
	}{
		{0, "success", "replace grp1 host01", "ReplaceMachine", "", jobIn("00007", schema.JobSucceeded, 100, schema.StepDone)},
		{1, "malformed command line", "replace grp1", "", "", nil},
		{1, "malformed request", "add grp1 /c 100000", "AddMachines", schema.KindInvalid, nil},
		{2, "named machine not found", "replace grp1 host01", "ReplaceMachine", schema.KindMachineNotFound, nil},
		{2, "too few running hosts", "delete grp1 /c 10", "RemoveMachines", schema.KindTooFewHosts, nil},
		{2, "no VM", "vmmigrate grp1 host01 VMS01", "MigrateVM", schema.KindMachineNotFound, nil},
		{2, "same VM server", "vmmigrate grp1 host01 VMS01", "MigrateVM", schema.KindSameServer, nil},
		{2, "VM server not found", "vmadd grp1 VM01 /VMS x", "AddVM", schema.KindMachineNotFound, nil},
		{2, "datastore not found", "vmadd grp1 VM01 /VMS x /DATASTORE y", "AddVM", schema.KindMachineNotFound, nil},
		{2, "host named more than once", "shutdown grp1 a a", "Power", schema.KindDuplicateHost, nil},
		{3, "group not found", "deploygrp grp1", "Deploy", schema.KindGroupNotFound, nil},
		{3, "re-purpose: too few host settings, not in the pool, or not possible", "move grp1 grp2 host01", "ChangeUse", schema.KindGroupUnusable, nil},
		{4, "too few host settings", "add grp1 /c 10", "AddMachines", schema.KindHostSetting, nil},
		{4, "no such network setting, or in use", "addspecname grp1 192.168.1.1", "AddMachines", schema.KindHostSetting, nil},
		{5, "re-purpose: too few candidates, or no machine under the host", "move grp1 grp2 /c 10", "ChangeUse", schema.KindTooFewMachines, nil},
		{5, "named machine not found", "add grp1 m1", "AddMachines", schema.KindTooFewMachines, nil},
		{6, "the sequence could not be started", "replace grp1 host01", "ReplaceMachine", schema.KindNotStarted, nil},
		{6, "the sequence could not be started, found out when it was its turn", "replace grp1 host01", "ReplaceMachine", "", before},
		{7, "the sequence failed inside", "replace grp1 host01", "ReplaceMachine", "", inside},
		{8, "software not found", `deploypsv m1 "x"`, "Deploy", schema.KindSoftware, nil},
		{9, "no right", "add grp1", "AddMachines", schema.KindPermission, nil},
		{10, "machine exists", "vmadd grp1 VM01", "AddVM", schema.KindExists, nil},
		{11, "machine runs in a group", "vmadd grp1 VM01 /a", "AddVM", schema.KindInGroup, nil},
		{14, "not permitted, or no such account", "changepassword user01 a b", "ChangePassword", schema.KindAccount, nil},
		{15, "input too long, or with forbidden characters", "add grp;1", "AddMachines", schema.KindText, nil},
		{15, "wrong user name or password", "changepassword user01 a b", "ChangePassword", schema.KindLogin, nil},
		{16, "policy not found", "policy set grp1 x /y", "SetPolicy", schema.KindPolicyNotFound, nil},
	} {
		seen[test.code] = true
		t.Run(test.cause, func(t *testing.T) {
			f := newFake(t)
			if test.kind != "" {
				f.errors[test.method] = schema.Errorf(test.kind, "thing x", "what happened").WithHint("what to do")
			}
			f.answers[test.method] = &api.JobsReply{Jobs: []string{"00007"}}
			f.jobs["00007"] = []*api.JobInfo{test.job}
			c := consoleFor(t, f)
			if code := c.run(shellWords(test.line)...); code != test.code {
				t.Fatalf("exit code %d, want %d: %s", code, test.code, c.stderr.String())
			}
			if test.kind != "" && c.stderr.String() != "pvmutl: thing x: what happened; what to do\n" {
				t.Errorf("message %q", c.stderr.String())
			}
			if test.code != 0 && !strings.HasPrefix(c.stderr.String(), "pvmutl: ") {
				t.Errorf("message %q", c.stderr.String())
			}
		})
	}
	for _, code := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16} {
		if !seen[code] {
			t.Errorf("nothing ends with %d", code)
		}
	}
}
