package node

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"yagura/drivers"
	"yagura/drivers/redfish"
	"yagura/drivers/vcenter"
	"yagura/fsm"
)

// DriverSource gives the drivers of one term of leadership; package scheduler
// asks it before each call. Close ends their connections.
type DriverSource interface {
	Hypervisor(ctx context.Context, subsystem string) (drivers.Hypervisor, error)
	Power(ctx context.Context, machine string) (drivers.Power, error)
	Close()
}

// hypervisors is THE list of drivers of subsystems, by kind.
var hypervisors = map[string]func(access) (drivers.Hypervisor, error){
	"vcenter": func(a access) (drivers.Hypervisor, error) {
		return vcenter.Open(vcenter.Config{
			Name: a.name, URL: a.url, User: a.user, Password: a.password, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure,
		})
	},
}

// powers is THE list of drivers of management controllers, by kind. Each
// serves all machines and asks for a machine's access at every call.
var powers = map[string]func(of func(machine string) (access, bool)) drivers.Power{
	"redfish": func(of func(string) (access, bool)) drivers.Power {
		return redfish.New("redfish", func(name string) (redfish.Machine, bool) {
			a, ok := of(name)
			return redfish.Machine{
				URL: a.url, User: a.user, Password: a.password, System: a.system, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure,
			}, ok
		}, 0)
	},
}

// access is how to reach a system, with its password opened.
type access struct {
	name, url, user, password, system string
	ca                                string // PEM, as the row has it
	cas                               *x509.CertPool
	thumbprint                        string
	insecure                          bool
}

// same tells whether two accesses lead to one connection.
func (a access) same(b access) bool {
	a.cas, b.cas = nil, nil
	return a == b
}

// closeTimeout bounds a driver's goodbye.
const closeTimeout = 5 * time.Second

// rowDrivers are the drivers that the rows of the database ask for.
type rowDrivers struct {
	store *fsm.Store
	ca    []byte // the cluster's own authority, PEM
	log   *slog.Logger

	mu    sync.Mutex // guards open and power; nil once closed
	open  map[string]openHypervisor
	power map[string]drivers.Power // by kind
	ends  sync.WaitGroup           // connections being closed
}

type openHypervisor struct {
	access
	driver drivers.Hypervisor
}

func newRowDrivers(store *fsm.Store, ca []byte, log *slog.Logger) *rowDrivers {
	d := &rowDrivers{store: store, ca: ca, log: log, open: map[string]openHypervisor{}, power: map[string]drivers.Power{}}
	for kind, make := range powers {
		d.power[kind] = make(d.bmc)
	}
	return d
}

// Hypervisor implements scheduler.Drivers. The connection is kept until the
// subsystem's address or credentials change.
func (d *rowDrivers) Hypervisor(_ context.Context, subsystem string) (drivers.Hypervisor, error) {
	fail := func(kind drivers.Kind, err error) (drivers.Hypervisor, error) {
		return nil, &drivers.Error{Kind: kind, System: subsystem, Op: "connect", Object: "subsystem " + subsystem, Err: err}
	}
	row, ok := fsm.Subsystems.Get(d.store.View(), subsystem)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("there is no such subsystem"))
	}
	create := hypervisors[row.Kind]
	if create == nil {
		return fail(drivers.KindUnsupported, errors.New("this version has no driver for the kind "+row.Kind))
	}
	a := access{name: row.Name, url: row.Address, user: row.User, ca: row.Ca, thumbprint: row.Thumbprint, insecure: row.Insecure}
	if err := d.prepare(&a, row.Password); err != nil {
		return fail(drivers.KindAuth, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		return fail(drivers.KindBusy, errors.New("this manager doesn't lead any more"))
	}
	if old, ok := d.open[subsystem]; ok {
		if old.same(a) {
			return old.driver, nil
		}
		d.goodbye(old)
		delete(d.open, subsystem)
	}
	h, err := create(a)
	if err != nil {
		return fail(drivers.KindRefused, err)
	}
	d.open[subsystem] = openHypervisor{a, h}
	return h, nil
}

// Power implements scheduler.Drivers.
func (d *rowDrivers) Power(_ context.Context, machine string) (drivers.Power, error) {
	fail := func(kind drivers.Kind, err error) (drivers.Power, error) {
		return nil, &drivers.Error{Kind: kind, System: "bmc", Op: "connect", Object: "machine " + machine, Err: err}
	}
	m, ok := fsm.Machines.Get(d.store.View(), machine)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("there is no such machine"))
	}
	if m.Bmc == nil {
		return fail(drivers.KindUnsupported, errors.New("it has no management controller (BMC)"))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.power[m.Bmc.Kind]; p != nil {
		return p, nil
	}
	return fail(drivers.KindUnsupported, errors.New("this version has no driver for the kind "+m.Bmc.Kind))
}

// bmc gives access to a machine's management controller.
func (d *rowDrivers) bmc(machine string) (access, bool) {
	m, ok := fsm.Machines.Get(d.store.View(), machine)
	if !ok || m.Bmc == nil {
		return access{}, false
	}
	b := m.Bmc
	a := access{name: machine, url: b.Address, user: b.User, system: b.System, ca: b.Ca, thumbprint: b.Thumbprint}
	if !strings.Contains(a.url, "://") {
		a.url = "https://" + a.url
	}
	if err := d.prepare(&a, b.Password); err != nil {
		d.log.Error("no access to a BMC", "machine", machine, "err", err)
		return access{}, false
	}
	return a, true
}

// prepare opens the password and gathers the authorities: those of the row,
// else the operating system's and the cluster's own.
func (d *rowDrivers) prepare(a *access, sealed []byte) error {
	plain, err := d.store.Sealer().Open(sealed)
	if err != nil {
		return err
	}
	a.password = string(plain)
	if a.ca != "" {
		a.cas = x509.NewCertPool()
		if !a.cas.AppendCertsFromPEM([]byte(a.ca)) {
			return errors.New("its ca holds no certificate in PEM")
		}
		return nil
	}
	if a.cas, err = x509.SystemCertPool(); err != nil {
		a.cas = x509.NewCertPool()
	}
	a.cas.AppendCertsFromPEM(d.ca)
	return nil
}

// goodbye ends a connection beside the caller.
func (d *rowDrivers) goodbye(o openHypervisor) {
	d.ends.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := o.driver.Close(ctx); err != nil {
			d.log.Info("subsystem left without goodbye", "subsystem", o.name, "err", err)
		}
	})
}

// Close ends all connections and waits for that.
func (d *rowDrivers) Close() {
	d.mu.Lock()
	for _, o := range d.open {
		d.goodbye(o)
	}
	d.open, d.power = nil, nil
	d.mu.Unlock()
	d.ends.Wait()
}

var _ DriverSource = (*rowDrivers)(nil)
