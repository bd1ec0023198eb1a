package node

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"yagura/drivers"
	"yagura/drivers/ansible"
	"yagura/drivers/bigip"
	"yagura/drivers/haproxy"
	"yagura/drivers/ipmi"
	"yagura/drivers/local"
	"yagura/drivers/ovs"
	"yagura/drivers/qbridge"
	"yagura/drivers/redfish"
	"yagura/drivers/ssh"
	"yagura/drivers/storagecli"
	"yagura/drivers/tgt"
	"yagura/drivers/vcenter"
	"yagura/drivers/wol"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// DriverSource gives the drivers of one term of leadership; package scheduler
// asks it before each call. Close ends their connections.
type DriverSource interface {
	sequence.Drivers
	Close()
}

// subsystems is THE list of drivers of subsystems, by kind. What a driver can
// do is told by the interfaces that it implements.
var subsystems = map[string]func(access) (subsystemDriver, error){
	"vcenter": func(a access) (subsystemDriver, error) {
		return vcenter.Open(vcenter.Config{
			Name: a.name, URL: a.url, User: a.user, Password: a.password, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure,
		})
	},
	"qbridge": func(a access) (subsystemDriver, error) {
		return qbridge.Open(qbridge.Config{Name: a.name, Address: a.url, User: a.user, Password: a.password, Options: a.options})
	},
	"ovs": func(a access) (subsystemDriver, error) {
		return ovs.Open(ovs.Config{
			Name: a.name, Address: a.url, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure, Key: a.key, Options: a.options,
		})
	},
	"bigip": func(a access) (subsystemDriver, error) {
		return bigip.Open(bigip.Config{
			Name: a.name, URL: a.url, User: a.user, Password: a.password, Options: a.options, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure,
		})
	},
	"haproxy": func(a access) (subsystemDriver, error) {
		return haproxy.Open(haproxy.Config{Name: a.name, Address: a.url, Options: a.options})
	},
	"local": func(a access) (subsystemDriver, error) {
		return local.Open(local.Config{Name: a.name, Runs: a.runs.folder, Manager: a.runs.manager, Peers: a.runs.peers, Options: a.options})
	},
	"ssh": func(a access) (subsystemDriver, error) {
		return ssh.Open(ssh.Config{Name: a.name, User: a.user, Password: a.password, Key: a.key, Insecure: a.insecure, Options: a.options})
	},
	"ansible": func(a access) (subsystemDriver, error) {
		return ansible.Open(ansible.Config{
			Name: a.name, User: a.user, Key: a.key, Insecure: a.insecure, Options: a.options, Runs: a.runs.folder, Manager: a.runs.manager, Peers: a.runs.peers,
		})
	},
	"tgt": func(a access) (subsystemDriver, error) {
		return tgt.Open(tgt.Config{Name: a.name, Address: a.url, Options: a.options})
	},
	"storage-cli": func(a access) (subsystemDriver, error) {
		return storagecli.Open(storagecli.Config{Name: a.name, Address: a.url, User: a.user, Password: a.password, Options: a.options})
	},
}

// subsystemDriver is what all drivers of subsystems have in common.
type subsystemDriver interface {
	Close(ctx context.Context) error
}

// powers is THE list of drivers of management controllers, by kind. Each
// serves all machines and asks for a machine's access at every call.
var powers = map[string]func(of func(machine string) (access, bool)) drivers.Power{
	"redfish": func(of func(string) (access, bool)) drivers.Power {
		return redfish.New("redfish", func(name string) (redfish.Machine, bool) {
			a, ok := of(name)
			return redfish.Machine{
				URL: a.url, User: a.user, Password: a.password, System: a.system, CAs: a.cas, Thumbprint: a.thumbprint, Insecure: a.insecure, UUID: a.uuid,
			}, ok
		}, 0)
	},
	"ipmi": func(of func(string) (access, bool)) drivers.Power {
		return ipmi.New("ipmi", func(name string) (ipmi.Machine, bool) {
			a, ok := of(name)
			return ipmi.Machine{Address: a.url, User: a.user, Password: a.password, Suite: a.system, UUID: a.uuid}, ok
		}, 0)
	},
	"wol": func(of func(string) (access, bool)) drivers.Power {
		return wol.New("wol", func(name string) (wol.Machine, bool) {
			a, ok := of(name)
			return wol.Machine{
				Address: a.url, User: a.user, Password: a.password, Key: a.key, HostKey: a.hostKey, MAC: a.mac, Broadcast: a.broadcast,
			}, ok
		}, 0)
	},
}

// access is how to reach a system, with its password opened.
type access struct {
	name, url, user, password, system string
	uuid                              string // of the machine; "" when it isn't known
	key                               string // private key, PEM
	ca                                string // PEM, as the row has it
	cas                               *x509.CertPool
	thumbprint                        string
	insecure                          bool
	options                           map[string]string
	hostKey, mac, broadcast           string // wol
	runs                              runsAccess
}

// same tells whether two accesses lead to one connection.
func (a access) same(b access) bool {
	a.cas, b.cas = nil, nil
	return reflect.DeepEqual(a, b)
}

// closeTimeout bounds a driver's goodbye.
const closeTimeout = 5 * time.Second

// rowDrivers are the drivers that the rows of the database ask for.
type rowDrivers struct {
	store *fsm.Store
	ca    []byte // the cluster's own authority, PEM
	runs  runsAccess
	log   *slog.Logger

	mu    sync.Mutex // guards open and power; nil once closed
	open  map[string]openSubsystem
	power map[string]drivers.Power // by kind
	ends  sync.WaitGroup           // connections being closed
}

type openSubsystem struct {
	access
	driver subsystemDriver
}

func newRowDrivers(store *fsm.Store, ca []byte, runs runsAccess, log *slog.Logger) *rowDrivers {
	d := &rowDrivers{store: store, ca: ca, runs: runs, log: log, open: map[string]openSubsystem{}, power: map[string]drivers.Power{}}
	for kind, make := range powers {
		d.power[kind] = make(d.bmc)
	}
	return d
}

// Hypervisor implements sequence.Drivers.
func (d *rowDrivers) Hypervisor(_ context.Context, subsystem string) (drivers.Hypervisor, error) {
	return capability[drivers.Hypervisor](d, subsystem, "a manager of VM servers")
}

// Switch implements sequence.Drivers.
func (d *rowDrivers) Switch(_ context.Context, subsystem string) (drivers.Switch, error) {
	return capability[drivers.Switch](d, subsystem, "a switch")
}

// Balancer implements sequence.Drivers.
func (d *rowDrivers) Balancer(_ context.Context, subsystem string) (drivers.Balancer, error) {
	return capability[drivers.Balancer](d, subsystem, "a load balancer")
}

// Storage implements sequence.Drivers.
func (d *rowDrivers) Storage(_ context.Context, subsystem string) (drivers.Storage, error) {
	return capability[drivers.Storage](d, subsystem, "storage")
}

// Distributor implements sequence.Drivers.
func (d *rowDrivers) Distributor(_ context.Context, subsystem string) (drivers.Distributor, error) {
	return capability[drivers.Distributor](d, subsystem, "a system that distributes software")
}

// capability gives a subsystem's driver as one that can do what T says.
func capability[T subsystemDriver](d *rowDrivers, subsystem, what string) (T, error) {
	var none T
	driver, err := d.subsystem(subsystem)
	if err != nil {
		return none, err
	}
	t, ok := driver.(T)
	if !ok {
		return none, &drivers.Error{Kind: drivers.KindUnsupported, System: subsystem, Op: "connect", Object: "subsystem " + subsystem, Err: errors.New("it is not " + what)}
	}
	return t, nil
}

// subsystem gives the driver of a subsystem. The connection is kept until the
// subsystem's address, credentials or options change.
func (d *rowDrivers) subsystem(name string) (subsystemDriver, error) {
	fail := func(kind drivers.Kind, err error) (subsystemDriver, error) {
		return nil, &drivers.Error{Kind: kind, System: name, Op: "connect", Object: "subsystem " + name, Err: err}
	}
	row, ok := fsm.Subsystems.Get(d.store.View(), name)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("there is no such subsystem"))
	}
	create := subsystems[row.Kind]
	if create == nil {
		return fail(drivers.KindUnsupported, errors.New("this version has no driver for the kind "+row.Kind))
	}
	a := access{
		name: row.Name, url: row.Address, user: row.User, ca: row.Ca, thumbprint: row.Thumbprint, insecure: row.Insecure, options: row.Options,
		runs: d.runs,
	}
	if err := d.prepare(&a, row.Password, row.Key); err != nil {
		return fail(drivers.KindAuth, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		return fail(drivers.KindBusy, errors.New("this manager doesn't lead any more"))
	}
	if old, ok := d.open[name]; ok {
		if old.same(a) {
			return old.driver, nil
		}
		d.goodbye(old)
		delete(d.open, name)
	}
	driver, err := create(a)
	if err != nil {
		return fail(drivers.KindRefused, err)
	}
	d.open[name] = openSubsystem{a, driver}
	return driver, nil
}

// Power implements sequence.Drivers.
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

// Hardware implements sequence.Drivers.
func (d *rowDrivers) Hardware(ctx context.Context, machine string) (drivers.Hardware, error) {
	p, err := d.Power(ctx, machine)
	if err != nil {
		return nil, err
	}
	h, ok := p.(drivers.Hardware)
	if !ok {
		return nil, &drivers.Error{Kind: drivers.KindUnsupported, System: "bmc", Op: "connect", Object: "machine " + machine,
			Err: errors.New("its management controller doesn't tell what the machine is")}
	}
	return h, nil
}

// bmc gives access to a machine's management controller.
func (d *rowDrivers) bmc(machine string) (access, bool) {
	m, ok := fsm.Machines.Get(d.store.View(), machine)
	if !ok || m.Bmc == nil {
		return access{}, false
	}
	b := m.Bmc
	a := access{name: machine, url: b.Address, user: b.User, system: b.System, uuid: m.Uuid, ca: b.Ca, thumbprint: b.Thumbprint,
		hostKey: b.HostKey, mac: b.Mac, broadcast: b.Broadcast}
	if a.mac == "" && len(m.Nics) > 0 {
		a.mac = m.Nics[0].Mac
	}
	if b.Kind == schema.BMCRedfish && !strings.Contains(a.url, "://") {
		a.url = "https://" + a.url
	}
	if err := d.prepare(&a, b.Password, b.Key); err != nil {
		d.log.Error("no access to a BMC", "machine", machine, "err", err)
		return access{}, false
	}
	return a, true
}

// prepare opens the secrets and gathers the authorities.
func (d *rowDrivers) prepare(a *access, password, key []byte) error {
	plain, err := d.store.Sealer().Open(password)
	if err != nil {
		return err
	}
	a.password = string(plain)
	if plain, err = d.store.Sealer().Open(key); err != nil {
		return err
	}
	a.key = string(plain)
	a.cas, err = authorities(a.ca, d.ca)
	return err
}

// authorities are those that a row names, in PEM, else the operating system's
// and the cluster's own.
func authorities(named string, cluster []byte) (*x509.CertPool, error) {
	if named != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(named)) {
			return nil, errors.New("its ca holds no certificate in PEM")
		}
		return pool, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(cluster)
	return pool, nil
}

// goodbye ends a connection beside the caller.
func (d *rowDrivers) goodbye(o openSubsystem) {
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
