package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// vcenter is the simulated vCenter: vcsim's registry and protocol, with the
// methods of vmFace, hostFace and folderFace put in front of vcsim's own.
type vcenter struct {
	sim  *Sim
	svc  *simulator.Service
	reg  *simulator.Registry
	base *simulator.Context // template of contexts for the simulator's own calls
	srv  *server
	dir  string // files of the datastores

	// hosts finds a VM server's object by name; written at the start only.
	hosts map[string]*simulator.HostSystem
	dc    types.ManagedObjectReference
	faces map[string]map[string]bool // object type to names of the methods put in front

	active sync.WaitGroup // requests being served
	tasks  atomic.Int64   // number of the last task

	busyMu sync.Mutex // guards busy
	// busy holds the running task of each VM: vCenter refuses a second one.
	busy map[types.ManagedObjectReference]types.ManagedObjectReference

	collectors collectors

	loadMu sync.Mutex      // guards loads
	loads  map[string]load // VM or server name to what ctl set

	graveMu sync.Mutex // guards graves
	// graves holds unregistered VMs by the path of their configuration file,
	// which vcsim doesn't store, so that registering brings the settings back.
	graves map[string]*simulator.VirtualMachine
}

// maxCollectors is how many event and task collectors clients may have in
// all. vcsim's own limit of 32 is used up by a few dozen dead sessions.
const maxCollectors = 1024

func newVCenter(ctx context.Context, s *Sim) (*vcenter, error) {
	v := &vcenter{
		sim: s, dir: s.path("sim-datastores"), hosts: map[string]*simulator.HostSystem{},
		busy:   map[types.ManagedObjectReference]types.ManagedObjectReference{},
		loads:  map[string]load{},
		graves: map[string]*simulator.VirtualMachine{},
	}
	var err error
	if err = os.RemoveAll(v.dir); err == nil { // of a simulator that was killed
		err = os.Mkdir(v.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("make the datastores: %w", err)
	}
	sctx, instance := simulator.NewServiceInstance(simulator.NewContext(), vpx.ServiceContent, vpx.RootFolder)
	v.base, v.reg = sctx, sctx.Map
	v.svc = simulator.New(sctx, instance)
	v.base.Session.UserName = "VSPHERE.LOCAL\\sim"
	v.reg.EventManager().MaxCollector = maxCollectors
	if err := v.build(ctx); err != nil {
		return v, err
	}
	v.faces = map[string]map[string]bool{
		"VirtualMachine": soapMethods(&vmFace{}), "HostSystem": soapMethods(&hostFace{}), "Folder": soapMethods(&folderFace{}),
		"Datacenter": soapMethods(&dcFace{}),
	}
	v.reg.Handler = v.dispatch
	s.spawn(func() { v.collectors.run(s.ctx) })
	return v, v.listen()
}

func (v *vcenter) listen() error {
	ln, err := net.Listen("tcp", v.sim.cfg.VCenterAddr)
	if err != nil {
		return fmt.Errorf("vCenter: listen on %s: %w", v.sim.cfg.VCenterAddr, err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	cert, err := v.certificate(addr.IP)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	// With a user set vcsim checks the password; with none it takes any.
	v.svc.Listen = &url.URL{
		Scheme: "https", Host: addr.String(), Path: v.reg.Path,
		User: url.UserPassword(v.sim.cfg.User, v.sim.cfg.Password),
	}
	sessions := v.reg.SessionManager()
	sessions.ServiceHostName = addr.String()
	sessions.TLS = func() *tls.Config { return conf }

	v.svc.RegisterSDK(v.reg, v.reg.Path+"/vimService")
	mux := v.svc.ServeMux
	mux.HandleFunc(v.reg.Path+"/vimServiceVersions.xml", v.svc.ServiceVersions)
	v.srv = serveOn(ln, conf, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.sim.hold(&v.active) {
			http.Error(w, "the simulator stops", http.StatusServiceUnavailable)
			return
		}
		defer v.active.Done()
		mux.ServeHTTP(w, r)
	}))
	return nil
}

func (v *vcenter) certificate(ip net.IP) (tls.Certificate, error) {
	if v.sim.cfg.CertFile == "" {
		return v.sim.ca.issue(ip, v.sim.world.VCenter)
	}
	cert, err := tls.LoadX509KeyPair(v.sim.cfg.CertFile, v.sim.cfg.KeyFile)
	if err != nil {
		return cert, fmt.Errorf("vCenter certificate: %w", err)
	}
	return cert, nil
}

// url is the URL of the SDK.
func (v *vcenter) url() string { return v.srv.base + vim25.Path }

// close stops serving, ends waits and waits for the requests under way. Tasks
// are the Sim's goroutines.
func (v *vcenter) close() error {
	var err error
	if v.srv != nil {
		err = v.srv.close()
		v.endWaits()
	}
	return errors.Join(err, os.RemoveAll(v.dir))
}

// endWaits cancels the waits of property collectors until no request is left.
// It asks again and again, because a wait that has just begun isn't yet ready
// to be cancelled.
func (v *vcenter) endWaits() {
	idle := make(chan struct{})
	go func() {
		v.active.Wait()
		close(idle)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		v.collectors.cancelWaits()
		select {
		case <-idle:
			return
		case <-tick.C:
		}
	}
}

// call returns a context for one call into vcsim. The context is also the
// owner of the object locks taken in that call, so each call needs its own.
func (v *vcenter) call() *simulator.Context { return ownContext(v.base) }

// ownContext copies a context, so that it owns its own locks.
func ownContext(ctx *simulator.Context) *simulator.Context {
	c := *ctx
	c.Context = context.Background()
	return &c
}

// openMethods are vcsim's reads that need no login there, but do in vCenter.
var openMethods = map[string]bool{"Fetch": true, "RetrieveProperties": true, "RetrievePropertiesEx": true}

// dispatch chooses the object that serves a method: a face for the methods
// that it adds or replaces, vcsim's object (nil) for all others.
func (v *vcenter) dispatch(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		if openMethods[m.Name] {
			return nil, &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &m.This, PrivilegeId: "System.View"}}
		}
		return nil, nil
	}
	if ref := v.missing(m.Body); ref != nil {
		return nil, &types.ManagedObjectNotFound{Obj: *ref}
	}
	if m.This.Type == "PropertyCollector" {
		v.collectors.note(ctx, m)
		return nil, nil
	}
	if !v.faces[m.This.Type][m.Name] {
		return nil, nil
	}
	var face mo.Reference
	switch o := v.reg.Get(m.This).(type) {
	case *simulator.VirtualMachine:
		face = &vmFace{vm: o, v: v}
	case *simulator.HostSystem:
		face = &hostFace{host: o, v: v}
	case *simulator.Folder:
		face = &folderFace{folder: o, v: v}
	case *simulator.Datacenter:
		face = &dcFace{dc: o, v: v}
	default:
		return nil, nil // vcsim answers ManagedObjectNotFound
	}
	// vcsim prefers an object that it finds under This to the one returned
	// here, so This must name nothing that it knows.
	m.This.Value += ".face"
	return face, nil
}

// soapMethods lists the SOAP names of the methods that a face has.
func soapMethods(face any) map[string]bool {
	out := map[string]bool{}
	t := reflect.TypeOf(face)
	for i := range t.NumMethod() {
		name := t.Method(i).Name
		if base, ok := strings.CutSuffix(name, "Task"); ok {
			name = base + "_Task"
		}
		out[name] = true
	}
	return out
}

// unlocked makes vcsim call a face without holding the lock of its object:
// Sim.mu comes first, then the lock of the object.
type unlocked struct{}

func (unlocked) Lock()   {}
func (unlocked) Unlock() {}

// opToken is the token that a caller sent along: vCenter's operation id, a
// header of the SOAP envelope (govmomi: context value types.ID, or soap.Header.ID).
func opToken(ctx *simulator.Context) string { return ctx.Header.ID }

// record writes an entry for something asked of the vCenter.
func (v *vcenter) record(op Op, object, token, result, detail string) {
	v.sim.ledger.add(Entry{
		System: v.sim.world.VCenter, Op: op, Object: object, Token: token, Result: result, Detail: detail,
	})
}

// machineOf returns the machine behind a VM server's object.
func (v *vcenter) machineOf(host *simulator.HostSystem) *machine { return v.sim.machines[host.Name] }
