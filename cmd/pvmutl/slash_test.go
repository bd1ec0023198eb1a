package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"yagura/rpc/api"
)

// TestSpellings holds that other spellings than the manual's make the same calls.
func TestSpellings(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	for _, test := range []struct {
		args   []string
		method string
		want   proto.Message
	}{
		{[]string{"vmadd", `Category1\Grp1`, "VM01", "--vms", "Vms01", "--datastore", "[VMFS01]", "--netinfo=192.168.1.100", "--existing"}, "AddVM",
			&api.AddVMRequest{Group: `Category1\Grp1`, Vm: "VM01", VmServer: "Vms01", Datastore: "[VMFS01]", Netinfo: "192.168.1.100", Existing: true}},
		{[]string{"vmadd", "/NetInfo", "web13", "/vms", "esx01", "/VMFS", "old", "/Datastore", "new", "shop/web", "web13"}, "AddVM",
			&api.AddVMRequest{Group: "shop/web", Vm: "web13", VmServer: "esx01", Datastore: "new", Netinfo: "web13"}},
		{[]string{"VMDELETE", "web", "--keep"}, "DeleteVM", &api.DeleteVMRequest{Group: "web", Keep: true}},
		{[]string{"vmmigrateandmove", "web", "h", "esx02", "--recreate"}, "MigrateVM",
			&api.MigrateVMRequest{Group: "web", Host: "h", VmServer: "esx02", Move: true, Recreate: true}},
		{[]string{"policy", "set", "grp1", "policy2", "--yes"}, "SetPolicy", &api.SetPolicyRequest{Group: "grp1", Policy: "policy2"}},
		{[]string{"evacuate", "--reason", "/VMS", "esx02", "/FAILOVER"}, "Evacuate", &api.EvacuateRequest{VmServer: "esx02", Failover: true}},
		{[]string{"move", "shop", "/C", "2", "batch"}, "ChangeUse", &api.ChangeUseRequest{Group: "shop", Source: "batch", Count: 2}},
		{[]string{"move", "shop", "batch", "--count=2"}, "ChangeUse", &api.ChangeUseRequest{Group: "shop", Source: "batch", Count: 2}},
		{[]string{"add", "shop/db", "--count", "3"}, "AddMachines", &api.AddMachinesRequest{Group: "shop/db", Count: 3}},
		{[]string{"add", "shop/db", "ph04", "/MASTER"}, "AddMachines", &api.AddMachinesRequest{Group: "shop/db", Machine: "ph04", Master: true}},
		{[]string{"add", "--master", "shop/db", "ph04"}, "AddMachines", &api.AddMachinesRequest{Group: "shop/db", Machine: "ph04", Master: true}},
		{[]string{"addspecname", `shop\db`, "192.168.1.1"}, "AddMachines", &api.AddMachinesRequest{Group: `shop\db`, Netinfo: "192.168.1.1"}},
		{[]string{"delete", "--count", "1", "shop"}, "RemoveMachines", &api.RemoveMachinesRequest{Group: "shop", Count: 1}},
		{[]string{"deploygrp", "db", "--full", "--sequential"}, "Deploy", &api.DeployRequest{Group: "db", Full: true, Sequential: true}},
		{[]string{"deploygrp", "db", "/P", "“a b”,“c”"}, "Deploy", &api.DeployRequest{Group: "db", Software: []string{"a b", "c"}, Only: true}},
		{[]string{"deploygrp", "db", "--software", `"a","b"`, "--software", "c"}, "Deploy", &api.DeployRequest{Group: "db", Software: []string{"a", "b", "c"}, Only: true}},
		{[]string{"deploysrv", "db", "db01"}, "Deploy", &api.DeployRequest{Group: "db", Host: "db01"}},
		{[]string{"deploysrv", "db", "db01", "/p", "a"}, "Deploy", &api.DeployRequest{Group: "db", Host: "db01", Software: []string{"a"}, Only: true}},
		{[]string{"deploysrv", "db", "--registered=a,b", "db01"}, "Deploy", &api.DeployRequest{Group: "db", Host: "db01", Software: []string{"a", "b"}}},
		{[]string{"deploypsv", "ph03", `"a"`}, "Deploy", &api.DeployRequest{Machine: "ph03", Software: []string{"a"}, Only: true}},
		{[]string{"pool", "add", "shop/db", "ph04"}, "ChangePool", &api.ChangePoolRequest{Group: "shop/db", Machine: "ph04"}},
		{[]string{"pool", "remove", "shop/db", "ph04"}, "ChangePool", &api.ChangePoolRequest{Group: "shop/db", Machine: "ph04", Remove: true}},
		{[]string{"vmdestroy", "spare01"}, "DestroyVM", &api.DestroyVMRequest{Vm: "spare01"}},
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
		"move", "move a", "move a b c d", "move a b host01 /c 1", "move a b /c", "move a b /c 0", "move a b /c -1", "move a b /c x", "move a b /c 1.5",
		"move a b /c 99999999999999999999", "move a b /c:10", "move a b /c10", "move a b /f", "replace", "replace grp1", "replace a b c", "replace a b /c 1",
		"add", "add grp1 m1 /c 1", "add grp1 /c 0", "add grp1 /master", "add grp1 /c 1 /master", "add a b c", "add grp1 --count", "add grp1 --count=",
		"addspecname grp1", "addspecname a b c d", "addspecname a b /c 1", "delete", "delete a b c", "delete grp1 host1 /c 10", "delete grp1 /c 0", "delete grp1 /d",
		"deploygrp", "deploygrp grp1 host01", "deploygrp grp1 /t", "deploygrp grp1 /f /p a", "deploygrp grp1 /p", "deploygrp grp1 /p /seq", "deploygrp grp1 /p a,",
		"deploygrp grp1 /p ,a", "deploygrp grp1 /p a,,b", "deploygrp grp1 /p a, b", "deploygrp grp1 /p a,a", "deploygrp grp1 /p a /p a", "deploygrp grp1 /a soft1",
		"deploysrv", "deploysrv grp1", "deploysrv grp1 /f", "deploysrv a b c", "deploysrv grp1 host01 /a a /f", "deploysrv grp1 host01 /a a /p b", "deploysrv grp1 host01 /f /p b",
		"deploysrv grp1 host01 /seq", "deploypsv", "deploypsv m1", "deploypsv m1 a b", "deploypsv m1 a,", "deploypsv m1 a,a", "deploypsv m1 a /f",
		"pool", "pool add", "pool add grp1", "pool remove grp1", "pool list grp1", "pool add a b c", "vmdestroy", "vmdestroy a b", "vmdestroy a /d", "job show 1 --follow -o json",
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
		"snapshot save /y", "snapshot restore --yes /backup/x", "apply -f /etc/x.yaml --dry-run", "apply --filename /etc/x", "placement solve /data/c.vbp --objective powersave", "trap test /captures/x.pcap --port 162",
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
