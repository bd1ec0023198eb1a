package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"yagura/rpc/api"
)

// TestManualExamples runs the examples of the manual's chapter 3.2 and looks
// at the call that each makes.
func TestManualExamples(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	power := func(op string, hosts ...string) proto.Message {
		return &api.PowerRequest{Op: op, Group: "grp1", Hosts: hosts}
	}
	for _, test := range []struct {
		args   []string
		method string
		want   proto.Message
	}{
		{[]string{"list", "group"}, "List", &api.ListRequest{Kind: "Model"}},
		{[]string{"list", "server", "grp1"}, "GroupMachines", &api.GroupRequest{Group: "grp1"}},
		{[]string{"list", "soft", "grp1"}, "GroupMachines", &api.GroupRequest{Group: "grp1"}},
		{[]string{"maintenance", "on", "grp1"}, "SetMaintenance", &api.SetMaintenanceRequest{On: true, Group: "grp1"}},
		{[]string{"maintenance", "off", "grp1", "host01"}, "SetMaintenance", &api.SetMaintenanceRequest{Group: "grp1", Host: "host01"}},
		{[]string{"maintenance", "Off", "grp1"}, "SetMaintenance", &api.SetMaintenanceRequest{Group: "grp1"}},
		{[]string{"shutdown", "grp1", "host01"}, "Power", power("shutdown", "host01")},
		{[]string{"shutdown", "grp1", "host01", "host02", "host03"}, "Power", power("shutdown", "host01", "host02", "host03")},
		{[]string{"shutdown", "grp1"}, "Power", power("shutdown")},
		{[]string{"reboot", "grp1", "host01"}, "Power", power("reboot", "host01")},
		{[]string{"reboot", "grp1", "host01", "host02", "host03"}, "Power", power("reboot", "host01", "host02", "host03")},
		{[]string{"reboot", "grp1"}, "Power", power("reboot")},
		{[]string{"poweron", "grp1", "host01"}, "Power", power("poweron", "host01")},
		{[]string{"poweron", "grp1", "host01", "host02", "host03"}, "Power", power("poweron", "host01", "host02", "host03")},
		{[]string{"poweron", "grp1"}, "Power", power("poweron")},
		{[]string{"vmadd", "Category1¥Grp1", "VM01", "/VMS", "Vms01", "/VMFS", "[VMFS01]", "/NETINFO", "192.168.1.100", "/a"}, "AddVM",
			&api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", VmServer: "Vms01", Datastore: "[VMFS01]", Netinfo: "192.168.1.100", Existing: true}},
		{[]string{"vmadd", "Category1¥Grp1", "VM01", "/VMS", "Vms01", "/NETINFO", "192.168.1.100", "/a"}, "AddVM",
			&api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", VmServer: "Vms01", Netinfo: "192.168.1.100", Existing: true}},
		{[]string{"vmadd", "Category1¥Grp1", "VM01", "/NETINFO", "192.168.1.100"}, "AddVM",
			&api.AddVMRequest{Group: "Category1¥Grp1", Vm: "VM01", Netinfo: "192.168.1.100"}},
		{[]string{"vmdelete", "Category¥ParentGrp1¥Grp1", "host01", "/d"}, "DeleteVM",
			&api.DeleteVMRequest{Group: "Category¥ParentGrp1¥Grp1", Host: "host01", Keep: true}},
		{[]string{"vmdelete", "Category"}, "DeleteVM", &api.DeleteVMRequest{Group: "Category"}},
		{[]string{"vmmigrate", "Category1¥Grp1", "host01", "VMS01"}, "MigrateVM",
			&api.MigrateVMRequest{Group: "Category1¥Grp1", Host: "host01", VmServer: "VMS01"}},
		{[]string{"vmmigrateandmove", "Category1¥Grp1", "host01", "VMS01"}, "MigrateVM",
			&api.MigrateVMRequest{Group: "Category1¥Grp1", Host: "host01", VmServer: "VMS01", Move: true}},
		{[]string{"asjob"}, "ListJobs", &api.ListJobsRequest{}},
		{[]string{"ascancel"}, "ListJobs", &api.ListJobsRequest{All: true}},
		{[]string{"ascancel", "00011"}, "CancelJob", &api.JobRequest{Id: "00011"}},
		{[]string{"changepassword", "user01", "pvmuser1", "pvmuser2"}, "ChangePassword",
			&api.ChangePasswordRequest{User: "user01", OldPassword: "pvmuser1", NewPassword: "pvmuser2"}},
		{[]string{"policy", "show", "category1"}, "ShowPolicy", &api.GroupRequest{Group: "category1"}},
		{[]string{"policy", "show"}, "ShowPolicy", &api.GroupRequest{}},
		{[]string{"policy", "set", "grp1", "policy2", "/y"}, "SetPolicy", &api.SetPolicyRequest{Group: "grp1", Policy: "policy2"}},
		{[]string{"policy", "set", "grp1", "/y"}, "SetPolicy", &api.SetPolicyRequest{Group: "grp1"}},

		// The same in other spellings.
		{[]string{"vmadd", `Category1\Grp1`, "VM01", "--vms", "Vms01", "--datastore", "[VMFS01]", "--netinfo=192.168.1.100", "--existing"}, "AddVM",
			&api.AddVMRequest{Group: `Category1\Grp1`, Vm: "VM01", VmServer: "Vms01", Datastore: "[VMFS01]", Netinfo: "192.168.1.100", Existing: true}},
		{[]string{"vmadd", "/NetInfo", "web13", "/vms", "esx01", "/VMFS", "old", "/Datastore", "new", "shop/web", "web13"}, "AddVM",
			&api.AddVMRequest{Group: "shop/web", Vm: "web13", VmServer: "esx01", Datastore: "new", Netinfo: "web13"}},
		{[]string{"VMDELETE", "web", "--keep"}, "DeleteVM", &api.DeleteVMRequest{Group: "web", Keep: true}},
		{[]string{"vmmigrateandmove", "web", "h", "esx02", "--recreate"}, "MigrateVM",
			&api.MigrateVMRequest{Group: "web", Host: "h", VmServer: "esx02", Move: true, Recreate: true}},
		{[]string{"policy", "set", "grp1", "policy2", "--yes"}, "SetPolicy", &api.SetPolicyRequest{Group: "grp1", Policy: "policy2"}},
		{[]string{"evacuate", "--reason", "/VMS", "esx02", "/FAILOVER"}, "Evacuate", &api.EvacuateRequest{VmServer: "esx02", Failover: true}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			c := consoleFor(t, f)
			if code := c.run(test.args...); code != 0 {
				t.Fatalf("exit code %d: %s", code, c.stderr.String())
			}
			if got := f.lastCall(t, test.method).request; !proto.Equal(got, test.want) {
				t.Errorf("call %s\nwant %s", prototext.Format(got), prototext.Format(test.want))
			}
		})
	}
}

// TestMalformed holds that bad command lines end with 1, tell how the command
// is written, and send nothing.
func TestMalformed(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	for _, line := range []string{
		"vmadd", "vmadd web", "vmadd web vm1 /VMS", "vmadd web vm1 /NETINFO /a", "vmadd web vm1 /x", "vmadd web vm1 /c:10", "vmadd web a b",
		"vmdelete", "vmdelete web h /a", "vmmigrate web host01", "vmmigrateandmove web host01 esx01 /force",
		"shutdown", "reboot /d", "list", "list hosts", "list server", "list group web", "maintenance grp1", "maintenance on",
		"asjob x", "asjob -x", "ascancel 1 2", "changepassword user01 old", "policy", "policy set", "policy set a b c /y",
		"get", "get vm", "get machine a --group b", "unset machine", "apply", "apply x.yaml", "job show", "job resume", "event show",
		"disarm shop", "node remove", "snapshot save", "user set", "user delete", "no-such", "get machine --timeout 0s", "get machine --timeout soon",
		"version now", "logout now", "completion tcsh", "completion bash x", "help me", "help get machine", "get machine -o",
	} {
		c := consoleFor(t, f)
		if code := c.run(strings.Fields(line)...); code != exitUsage {
			t.Errorf("%s: exit code %d", line, code)
		}
		if text := c.stderr.String(); !strings.HasPrefix(text, "pvmutl: ") || !strings.Contains(text, "pvmutl help") {
			t.Errorf("%s: message %q", line, text)
		}
		if c.stdout.Len() > 0 {
			t.Errorf("%s: output %q", line, c.stdout.String())
		}
	}
	if calls := f.recorded(); len(calls) > 0 {
		t.Errorf("%d calls were made, the first %s", len(calls), calls[0].method)
	}
}

func TestNotUTF8(t *testing.T) {
	c := &console{}
	if code := c.run("list", "server", "shop\xa5web"); code != exitUsage || !strings.Contains(c.stderr.String(), `"shop\xa5web"`) {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestFilesAreNoOptions holds that paths stay paths.
func TestFilesAreNoOptions(t *testing.T) {
	root := newRoot((&console{}).app())
	for _, line := range []string{
		"snapshot save /y", "snapshot restore --yes /backup/x", "apply -f /etc/x.yaml --dry-run", "apply --filename /etc/x", "placement solve /data/c.vbp --objective powersave",
		"--ca /ca.pem -o json get machine", "vmdelete web --reason /d", "poweron web -- /d", "__complete snapshot save /b",
	} {
		args := strings.Fields(line)
		got, err := expandSlash(root, args)
		if err != nil || strings.Join(got, " ") != line {
			t.Errorf("%s became %q, %v", line, got, err)
		}
	}
}

// TestAnyArguments holds that no command line makes the command panic, and
// that a failure has an exit code and a message.
func TestAnyArguments(t *testing.T) {
	words := []string{"/", "//", "/y", "/VMS", "/a", "-", "--", "-o", "-ojson", "--output=yaml", "-f", "--reason", "--limit", "-1", "99999999999999999999",
		"--timeout", "1ms", "web", "shop/web", "¥", `\`, "", " ", "\x00", "日本", "%s%n", "--yes", "-y", "-v", "--", "/?", "-h", "on", "Off", "machine"}
	for _, c := range newRoot((&console{}).app()).Commands() {
		words = append(words, c.Name())
		for _, sub := range c.Commands() {
			words = append(words, sub.Name())
		}
	}
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.SampledFrom(words), rapid.StringN(0, 6, 12))
		args := rapid.SliceOfN(word, 0, 8).Draw(t, "args")
		c := &console{configDir: dir, stdin: rapid.String().Draw(t, "stdin"), env: map[string]string{}}
		code := c.run(args...)
		if code != 0 && c.stderr.Len() == 0 {
			t.Fatalf("exit code %d without a message", code)
		}
		if strings.Contains(c.stderr.String(), "goroutine ") {
			t.Fatalf("stack trace: %s", c.stderr.String())
		}
	})
}
