package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Sim is a running simulated datacenter.
type Sim struct {
	cfg    Config
	world  World
	layout *layout
	ca     *authority
	ledger *ledger
	rules  *rules
	remove func()   // removes a temporary state directory
	lock   *os.File // keeps other simulators out of the state directory

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of the simulator
	closed sync.Once
	gate   sync.Mutex // guards closing
	// closing: no goroutine may be added to wg any more.
	closing bool
	err     error // of Close

	// mu guards the machines and makes effects atomic against them: an
	// operation on VMs holds it for reading while it checks and acts, a change
	// of a machine's phase holds it for writing. It is taken before any lock
	// of vcsim's objects, never after.
	mu       sync.RWMutex
	machines map[string]*machine

	changed signal // fires when a machine changes phase or a VM its power or place
	vc      *vcenter
	bmcs    []*bmc
	// switches have sockets of their own.
	switches  []*netSwitch
	balancers []*balancer
	arrays    []*diskArray
	control   *control
}

// Start builds the world, listens and serves. It returns when everything
// answers. ctx bounds the start only; Close stops the simulator.
func Start(ctx context.Context, cfg Config) (*Sim, error) {
	remove, err := cfg.complete()
	if err != nil {
		remove()
		return nil, err
	}
	s := &Sim{cfg: cfg, world: *cfg.World, rules: newRules(), remove: remove, machines: map[string]*machine{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sim) start(ctx context.Context) error {
	var err error
	if s.layout, err = s.world.layout(); err != nil {
		return &UsageError{Msg: fmt.Sprintf("world: %v", err)}
	}
	if s.lock, err = lockState(s.path(lockFile)); err != nil {
		return err
	}
	if s.ca, err = loadAuthority(s.cfg.CACertFile, s.cfg.CAKeyFile, s.cfg.StateDir); err != nil {
		return err
	}
	if s.ledger, err = openLedger(s.cfg.Ledger); err != nil {
		return err
	}
	for _, m := range s.layout.servers {
		s.addMachine(m, true)
	}
	for _, m := range s.layout.machines {
		s.addMachine(m, false)
	}
	if s.vc, err = newVCenter(ctx, s); err != nil {
		return err
	}
	if err = s.startBMCs(); err != nil {
		return err
	}
	if err = s.startSwitches(); err != nil {
		return err
	}
	if err = s.startBalancers(); err != nil {
		return err
	}
	s.buildArrays()
	if err = s.startServices(); err != nil {
		return err
	}
	if s.control, err = startControl(s); err != nil {
		return err
	}
	return s.writeEndpoints()
}

func (s *Sim) addMachine(spec MachineSpec, vmServer bool) {
	m := &machine{name: spec.Name, uuid: nameUUID("machine", spec.Name), spec: spec, vmServer: vmServer, phase: phaseUp}
	if spec.Off {
		m.phase = phaseOff
	}
	s.machines[m.name] = m
}

// order returns the machines in the order of the world.
func (s *Sim) order() []*machine {
	out := make([]*machine, 0, len(s.machines))
	for _, l := range [][]MachineSpec{s.layout.servers, s.layout.machines} {
		for _, spec := range l {
			out = append(out, s.machines[spec.Name])
		}
	}
	return out
}

// spawn runs f in a goroutine that Close waits for, unless Close has begun.
func (s *Sim) spawn(f func()) {
	if s.hold(&s.wg) {
		go func() {
			defer s.wg.Done()
			f()
		}()
	}
}

// hold adds one to a group that Close waits for, unless Close has begun.
func (s *Sim) hold(wg *sync.WaitGroup) bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.closing {
		wg.Add(1)
	}
	return !s.closing
}

// Close stops serving, ends running tasks where they are, waits for every
// goroutine, and removes a temporary state directory.
func (s *Sim) Close() error {
	s.closed.Do(func() {
		s.cancel()
		s.gate.Lock()
		s.closing = true
		s.gate.Unlock()
		var errs []error
		if s.control != nil {
			errs = append(errs, s.control.close())
		}
		for _, b := range s.bmcs {
			errs = append(errs, b.close())
		}
		for _, w := range s.switches {
			errs = append(errs, w.close())
		}
		for _, b := range s.balancers {
			errs = append(errs, b.close())
		}
		if s.vc != nil {
			errs = append(errs, s.vc.close())
		}
		s.wg.Wait()
		if s.ledger != nil {
			errs = append(errs, s.ledger.close())
		}
		if s.lock != nil {
			errs = append(errs, s.lock.Close())
		}
		s.remove()
		s.err = errors.Join(errs...)
	})
	return s.err
}

// Endpoints says where everything is. It is also written to sim.json in the
// state directory once all of it answers; the passwords are not in it.
type Endpoints struct {
	VCenter     string            `json:"vcenter"`      // URL of the SDK
	User        string            `json:"user"`         // of the vCenter
	BMCUser     string            `json:"bmc_user"`     // of every BMC
	Password    string            `json:"password"`     // file that holds the vCenter's password
	BMCPassword string            `json:"bmc_password"` // file that holds the BMCs' password
	CA          string            `json:"ca"`           // file that holds the CA's certificate
	Ledger      string            `json:"ledger"`       // file
	Control     string            `json:"control"`      // URL of the control endpoint
	Token       string            `json:"token"`        // file that holds the control endpoint's token
	BMCs        map[string]string `json:"bmcs"`         // machine name to base URL
	Switches    map[string]string `json:"switches"`     // switch name to HOST:PORT of its SNMP agent
	Balancers   map[string]string `json:"balancers"`    // balancer name to HOST:PORT of its stats socket
}

// Files in the state directory.
const (
	endpointsFile   = "sim.json"
	passwordFile    = "sim.password"
	bmcPasswordFile = "sim.bmc-password"
	tokenFile       = "sim.token"
	caFile          = "sim-ca.pem"
	lockFile        = "sim.lock"
)

func (s *Sim) path(name string) string { return filepath.Join(s.cfg.StateDir, name) }

// Endpoints returns where everything is.
func (s *Sim) Endpoints() Endpoints {
	e := Endpoints{
		VCenter:     s.vc.url(),
		User:        s.cfg.User,
		BMCUser:     s.cfg.BMCUser,
		Password:    s.path(passwordFile),
		BMCPassword: s.path(bmcPasswordFile),
		CA:          s.path(caFile),
		Ledger:      s.cfg.Ledger,
		Control:     s.control.url(),
		Token:       s.path(tokenFile),
		BMCs:        map[string]string{},
		Switches:    map[string]string{},
		Balancers:   map[string]string{},
	}
	for _, b := range s.balancers {
		e.Balancers[b.name] = b.address()
	}
	for _, w := range s.switches {
		e.Switches[w.spec.Name] = w.address()
	}
	for _, b := range s.bmcs {
		e.BMCs[b.m.name] = b.url()
	}
	return e
}

func (s *Sim) writeEndpoints() error {
	for name, secret := range map[string]string{
		passwordFile: s.cfg.Password, bmcPasswordFile: s.cfg.BMCPassword, tokenFile: s.control.token,
	} {
		if err := writeFile(s.path(name), []byte(secret+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := writeFile(s.path(caFile), s.ca.pem, 0o644); err != nil {
		return err
	}
	data, err := json.MarshalIndent(s.Endpoints(), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(s.path(endpointsFile), append(data, '\n'), 0o644)
}

// lockState takes the lock of a state directory; closing the file gives it back.
func lockState(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("a simulator runs already with the state directory %s", filepath.Dir(path))
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeFile replaces a file at once, so that a reader never sees half of it.
func writeFile(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// VCenterURL is the URL of the vCenter's SDK, without credentials.
func (s *Sim) VCenterURL() string { return s.vc.url() }

// BMCURL is the base URL of a machine's BMC, or empty if there is no such machine.
func (s *Sim) BMCURL(machine string) string {
	for _, b := range s.bmcs {
		if b.m.name == machine {
			return b.url()
		}
	}
	return ""
}

// SwitchAddr is HOST:PORT of a switch's SNMP agent, or empty if there is no such switch.
func (s *Sim) SwitchAddr(name string) string { return s.Endpoints().Switches[name] }

// Credentials returns the vCenter's account.
func (s *Sim) Credentials() (user, password string) { return s.cfg.User, s.cfg.Password }

// BMCCredentials returns the account of every BMC.
func (s *Sim) BMCCredentials() (user, password string) { return s.cfg.BMCUser, s.cfg.BMCPassword }

// CAPEM is the certificate of the CA, to be trusted by clients.
func (s *Sim) CAPEM() []byte { return s.ca.pem }

// Ledger reads everything that was recorded so far.
func (s *Sim) Ledger() ([]Entry, error) { return ReadLedger(s.cfg.Ledger) }

// LedgerPath is the file that effects are appended to.
func (s *Sim) LedgerPath() string { return s.cfg.Ledger }

// bmcAddress is where the nth BMC (from 0) listens.
func (s *Sim) bmcAddress(n int) (string, error) {
	if s.cfg.BMCAddr == "" {
		return "127.0.0.1:0", nil
	}
	a, err := netip.ParseAddr(s.cfg.BMCAddr)
	if err != nil {
		return "", err
	}
	b := a.As4()
	v := uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if v += uint32(n); v >= 1<<24-1 {
		return "", &UsageError{Msg: fmt.Sprintf("there is no loopback address for BMC number %d after %s", n, s.cfg.BMCAddr)}
	}
	ip := net.IPv4(127, byte(v>>16), byte(v>>8), byte(v))
	return net.JoinHostPort(ip.String(), fmt.Sprint(s.cfg.BMCPort)), nil
}

// signal lets many goroutines wait for the next change of something.
type signal struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

// wait returns a channel that is closed at the next fire.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// await waits until cond holds, looking again at every change, for at most
// limit. cond runs with Sim.mu held for reading.
func (s *Sim) await(ctx context.Context, limit time.Duration, cond func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		next := s.changed.wait()
		s.mu.RLock()
		ok := cond()
		s.mu.RUnlock()
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-s.ctx.Done():
			return false
		case <-timer.C:
			return false
		case <-next:
		}
	}
}
