package tgt

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

func TestStorageConformance(t *testing.T) {
	drivertest.RunStorage(t, func(t *testing.T) drivertest.StorageWorld {
		r := start(t)
		return drivertest.StorageWorld{
			Open:    func(*testing.T) drivers.Storage { return r.open() },
			Volumes: [2]string{volumes[1], volumes[2]},
			Old:     []string{oldName}, New: []string{newName},
			Session: func(_ *testing.T, volume, initiator string) { r.login(initiator, volume) },
			Silence: func(*testing.T) { r.kill() },
			Effects: func(_ *testing.T, op, object string) int { return r.effects(op, object) },
		}
	})
}

// TestVolumeMoves is a replacement: the old machine's session is cut, and only
// the new one sees the volume.
func TestVolumeMoves(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	d := r.open()
	connect := func(initiator string) {
		t.Helper()
		if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{initiator}, false); err != nil {
			t.Fatal(err)
		}
	}
	connect(oldName)
	if old, other := r.sees(oldName), r.sees(newName); !strings.Contains(old, prefix+"db01-data") || strings.Contains(old, "db02") || other != "" {
		t.Fatalf("connected to the old one: it sees %q, the new one %q", old, other)
	}
	session := r.login(oldName, "db01-data")
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{newName}, false); drivers.KindOf(err) != drivers.KindRefused {
		t.Fatalf("both at once: %v", err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{oldName}); err != nil {
		t.Fatal(err)
	}
	r.isCut(session)
	connect(newName)
	if old, other := r.sees(oldName), r.sees(newName); old != "" || !strings.Contains(other, prefix+"db01-data") || !strings.Contains(other, "Lun:1") {
		t.Errorf("moved: the old one sees %q, the new one %q", old, other)
	}
	r.login(newName, "db01-data")
	v, err := d.Volume(ctx, "db01-data")
	if err != nil || !slices.Equal(v.Initiators, []string{newName}) || !slices.Equal(v.Sessions, []string{newName}) {
		t.Errorf("moved: %+v, %v", v, err)
	}
}

// TestSessionOfNobodyConnected: the ACL was changed behind our back, and what
// is left is a session.
func TestSessionOfNobodyConnected(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	d := r.open()
	r.admin("--mode", "target", "--op", "bind", "--tid", "1", "--initiator-name", oldName)
	session := r.login(oldName, "db01-data")
	r.admin("--mode", "target", "--op", "unbind", "--tid", "1", "--initiator-name", oldName)
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{newName}, false); drivers.KindOf(err) != drivers.KindRefused {
		t.Fatalf("beside an open session: %v", err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{oldName}); err != nil {
		t.Fatal(err)
	}
	r.isCut(session)
}

func TestTargetThatIsOpenToAddresses(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	d := r.open()
	r.admin("--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "ALL")
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{newName}, false); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("connect: %v", err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{oldName}); drivers.KindOf(err) != drivers.KindFailed || !strings.Contains(err.Error(), "ALL") {
		t.Errorf("disconnect: %v", err)
	}
	if v, err := d.Volume(ctx, "db01-data"); err != nil || !slices.Equal(v.Initiators, []string{"ALL"}) {
		t.Errorf("it reads as %+v, %v", v, err)
	}
}

func TestSeveralInitiatorsOfAMachine(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	d := r.open()
	both := []string{oldName, oldName + "-2"}
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", both, false); err != nil {
		t.Fatal(err)
	}
	sessions := []func(){}
	for _, i := range []string{both[0], both[1], both[1]} {
		c := r.login(i, "db01-data")
		sessions = append(sessions, func() { r.isCut(c) })
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", both); err != nil {
		t.Fatal(err)
	}
	for _, ended := range sessions {
		ended()
	}
}

func TestMachineWithFibreChannelToo(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	d := r.open()
	const wwpn = "10:00:00:00:c9:20:b4:84"
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{wwpn}, false); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("without an iSCSI name: %v", err)
	}
	if _, err := d.Connect(ctx, drivers.Call{}, "db01-data", []string{wwpn, oldName}, false); err != nil {
		t.Fatal(err)
	}
	if v, err := d.Volume(ctx, "db01-data"); err != nil || !slices.Equal(v.Initiators, []string{oldName}) {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{wwpn, oldName}); err != nil {
		t.Error(err)
	}
}

func TestWithoutTgtadm(t *testing.T) {
	d, err := Open(Config{Name: "array1", Options: map[string]string{"command": "/no/such/tgtadm"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Volumes(context.Background()); drivers.KindOf(err) != drivers.KindUnreachable || !strings.Contains(err.Error(), "install tgt") {
		t.Errorf("no tgtadm: %v", err)
	}
}

// TestTgtdDiesInBetween: a tgtadm that ends tgtd as soon as it has bound.
func TestTgtdDiesInBetween(t *testing.T) {
	r := start(t)
	script := r.dir + "/dies"
	if err := os.WriteFile(script, []byte(fmt.Sprintf("#!/bin/sh\ntgtadm \"$@\"; code=$?\ncase \"$*\" in *bind*) kill -9 %d;; esac\nexit $code\n", r.cmd.Process.Pid)), 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Name: "array1", Options: map[string]string{"control_port": "7", "socket": r.socket(), "prefix": prefix, "command": script}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Connect(context.Background(), drivers.Call{Deadline: time.Now().Add(time.Minute)}, "db01-data", []string{oldName}, false)
	if drivers.KindOf(err) != drivers.KindUnknown {
		t.Errorf("nobody can tell what became of it: %v", err)
	}
}

func TestOutputThatCantBeRead(t *testing.T) {
	good := "Target 3: iqn.a\n    System information:\n        Driver: iscsi\n    I_T nexus information:\n        I_T nexus: 2\n" +
		"            Initiator: iqn.b alias: none\n            Connection: 0\n                IP Address: 127.0.0.1\n    LUN information:\n" +
		"        LUN: 1\n            Backing store path: /a    ACL information:\n    Account information:\n    ACL information:\n        iqn.b\n        ALL\n"
	all, err := parse(good)
	if err != nil || len(all) != 1 || all[0].tid != "3" || !slices.Equal(all[0].acl, []string{"iqn.b", "ALL"}) ||
		len(all[0].sessions) != 1 || all[0].sessions[0].initiator != "iqn.b" || !slices.Equal(all[0].sessions[0].cids, []string{"0"}) {
		t.Fatalf("%+v, %v", all, err)
	}
	for name, bad := range map[string]string{
		"no target":   "    System information:\n",
		"other words": "tgtadm: usage\n",
		"ACL":         "Target 3: iqn.a\n    ACL information:\n        a b\n",
		"sessions":    "Target 3: iqn.a\n    I_T nexus information:\n            Connection: 0\n",
	} {
		if all, err := parse(bad); err == nil {
			t.Errorf("%s: read as %+v", name, all)
		}
	}
}

func TestBadSettings(t *testing.T) {
	if _, err := Open(Config{Address: "storage1:3260"}); err == nil {
		t.Error("an address is taken")
	}
	for key, value := range map[string]string{"control_port": "x", "socket": "s", "command": " ", "control_prot": "1"} {
		if _, err := Open(Config{Options: map[string]string{key: value}}); err == nil {
			t.Errorf("%s %q is taken", key, value)
		}
	}
}
