package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// quick is a world in which nothing takes long.
func quick() Config {
	return Config{BootTime: 20 * time.Millisecond, StopTime: 10 * time.Millisecond, GuestTime: 10 * time.Millisecond}
}

// env is a running simulator with a logged-in client.
type env struct {
	*testing.T
	sim    *Sim
	ctx    context.Context
	client *vim25.Client
	find   *find.Finder
}

func start(t *testing.T, cfg Config) *env {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	s, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	e := &env{T: t, sim: s, ctx: ctx}
	e.client = e.login(s.Credentials())
	e.find = find.NewFinder(e.client, false)
	dc, err := e.find.Datacenter(ctx, "/DC1")
	if err != nil {
		t.Fatal(err)
	}
	e.find.SetDatacenter(dc)
	return e
}

// trust makes a TLS configuration that accepts only the simulator's CA.
func trust(t *testing.T, s *Sim) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatal("the CA is no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

func connect(t *testing.T, s *Sim) *vim25.Client {
	t.Helper()
	u, err := url.Parse(s.VCenterURL())
	if err != nil {
		t.Fatal(err)
	}
	sc := soap.NewClient(u, false)
	sc.DefaultTransport().TLSClientConfig = trust(t, s)
	c, err := vim25.NewClient(context.Background(), sc)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (e *env) login(user, password string) *vim25.Client {
	e.Helper()
	c := connect(e.T, e.sim)
	if err := session.NewManager(c).Login(e.ctx, url.UserPassword(user, password)); err != nil {
		e.Fatal(err)
	}
	return c
}

func (e *env) vm(name string) *object.VirtualMachine {
	e.Helper()
	vm, err := e.find.VirtualMachine(e.ctx, name)
	if err != nil {
		e.Fatal(err)
	}
	return vm
}

func (e *env) host(name string) *object.HostSystem {
	e.Helper()
	h, err := e.find.HostSystem(e.ctx, name)
	if err != nil {
		e.Fatal(err)
	}
	return h
}

func (e *env) vmProps(name string) mo.VirtualMachine {
	e.Helper()
	var m mo.VirtualMachine
	if err := e.vm(name).Properties(e.ctx, e.vm(name).Reference(), nil, &m); err != nil {
		e.Fatal(err)
	}
	return m
}

func (e *env) hostProps(name string) mo.HostSystem {
	e.Helper()
	var m mo.HostSystem
	h := e.host(name)
	if err := h.Properties(e.ctx, h.Reference(), nil, &m); err != nil {
		e.Fatal(err)
	}
	return m
}

func TestDemoWorld(t *testing.T) {
	e := start(t, quick())
	vms, err := e.find.VirtualMachineList(e.ctx, "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(vms) != 14 {
		t.Errorf("%d VMs, want 14", len(vms))
	}
	for _, name := range []string{"esx01", "esx02", "esx03", "esx04"} {
		h := e.hostProps(name)
		if h.Runtime.ConnectionState != types.HostSystemConnectionStateConnected || h.Runtime.PowerState != types.HostSystemPowerStatePoweredOn {
			t.Errorf("%s: %s %s", name, h.Runtime.ConnectionState, h.Runtime.PowerState)
		}
		if len(h.Vm) < 3 || len(h.Datastore) != 2 {
			t.Errorf("%s has %d VMs and %d datastores", name, len(h.Vm), len(h.Datastore))
		}
	}
	web := e.vmProps("web01")
	if web.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn || web.Config.Uuid != nameUUID("vm", "web01") ||
		web.Guest.ToolsRunningStatus != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning) {
		t.Errorf("web01: %s %s %s", web.Runtime.PowerState, web.Config.Uuid, web.Guest.ToolsRunningStatus)
	}
	if p := e.vmProps("spare01").Runtime.PowerState; p != types.VirtualMachinePowerStatePoweredOff {
		t.Errorf("spare01 is %s", p)
	}
	if !e.vmProps("tmpl-web").Config.Template {
		t.Error("tmpl-web is no template")
	}
}

func TestLoginIsChecked(t *testing.T) {
	e := start(t, quick())
	c := connect(t, e.sim)
	err := session.NewManager(c).Login(e.ctx, url.UserPassword(DefaultUser, "wrong"))
	if err == nil || !soap.IsSoapFault(err) {
		t.Errorf("a wrong password: %v", err)
	}
	var m mo.HostSystem
	if err := e.host("esx01").Properties(e.ctx, e.host("esx01").Reference(), nil, &m); err != nil {
		t.Errorf("logged in: %v", err)
	}
	bare := object.NewHostSystem(c, e.host("esx01").Reference())
	if err := bare.Properties(e.ctx, bare.Reference(), []string{"name"}, &m); err == nil {
		t.Error("properties were read without a login")
	}
}
