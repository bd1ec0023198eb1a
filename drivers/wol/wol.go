package wol

import (
	"context"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// quiet is how long a machine that was shut down must have been silent to
// count as off, and belief how long after that shutdown it may.
const (
	quiet  = 10 * time.Second
	belief = 30 * time.Minute
)

// farewell is how long a machine that accepted a shutdown may still answer
// before it counts as one that stays.
const farewell = time.Minute

// Driver switches machines. Its methods may be called from any goroutine.
type Driver struct {
	name    string
	machine func(name string) (Machine, bool)
	timeout time.Duration
	dial    time.Duration
	quiet   time.Duration

	mu    sync.Mutex // guards ended
	ended map[string]*ending
}

// ending is a shutdown that a machine accepted from this driver.
type ending struct {
	accepted time.Time
	silent   time.Time // since when nobody answers; zero: somebody did
}

var _ drivers.Power = (*Driver)(nil)

// New makes a driver. name appears in errors. machine says how to reach a
// machine; it is asked at every call, so that new settings count at once, and
// must be safe for concurrent use. timeout bounds a call; 0: DefaultTimeout.
func New(name string, machine func(name string) (Machine, bool), timeout time.Duration) *Driver {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Driver{name: name, machine: machine, timeout: timeout, dial: dialTimeout, quiet: quiet, ended: map[string]*ending{}}
}

// PowerState implements drivers.Power. A machine is on when its SSH server
// answers with its host key. One that doesn't is KindUnreachable: off, crashed,
// and cut off look alike. Only a machine that accepted a shutdown from this very
// driver within the last half hour, and of which nothing was heard for ten
// seconds since, not even a refused connection, is off; until then it counts as on.
// Another leader's driver doesn't know of that shutdown: it says unreachable,
// and a person has to look.
func (d *Driver) PowerState(ctx context.Context, machine string) (drivers.PowerState, error) {
	const op = "read-power"
	_, t, err := d.settings(op, machine)
	if err != nil {
		return drivers.PowerUnknown, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	s := d.look(ctx, machine, t)
	s.close()
	if s.state == drivers.PowerUnknown {
		return s.state, fault.At(d.name, op, machine, s.err)
	}
	return s.state, nil
}

// sight is what a look at a machine showed.
type sight struct {
	contact
	state  drivers.PowerState
	ending bool        // a shutdown that it accepted is under way
	client *ssh.Client // nil: no contact, or the account isn't accepted
	err    error       // why there is no client; nil when a shutdown explains it
}

func (s sight) close() {
	if s.client != nil {
		_ = s.client.Close()
	}
}

// look tells the power of a machine, and connects to it.
func (d *Driver) look(ctx context.Context, machine string, t target) sight {
	s := sight{state: drivers.PowerUnknown}
	s.contact, s.client, s.err = reach(ctx, t, d.dial)
	if s.contact != alive && (ctx.Err() != nil || fault.KindOf(s.err) == drivers.KindAuth) {
		return s // nothing was learnt, or somebody else answered
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.ended[machine]
	now := time.Now()
	if e != nil && now.Sub(e.accepted) > belief {
		delete(d.ended, machine)
		e = nil
	}
	switch {
	case s.contact == alive && e != nil && !e.silent.IsZero() && now.Sub(e.silent) >= d.quiet:
		delete(d.ended, machine) // it is back
		s.state = drivers.PowerOn
	case s.contact == alive:
		s.state, s.ending = drivers.PowerOn, e != nil && now.Sub(e.accepted) < farewell
	case e == nil:
		return s
	case s.contact == silent && !e.silent.IsZero() && now.Sub(e.silent) >= d.quiet:
		s.state, s.err = drivers.PowerOff, nil
		return s
	default:
		s.state, s.ending, s.err = drivers.PowerOn, true, nil
	}
	if e != nil && s.contact != silent {
		e.silent = time.Time{}
	} else if e != nil && e.silent.IsZero() {
		e.silent = now
	}
	return s
}

// accepted notes that a machine took a shutdown.
func (d *Driver) accepted(machine string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended[machine] = &ending{accepted: time.Now()}
}

// forget drops what was noted of a machine: it is started again.
func (d *Driver) forget(machine string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ended, machine)
}

// SetPower implements drivers.Power. OpPowerOff and OpReset are
// KindUnsupported, unless the machine is off already. A restart is an act, and
// a caller that isn't sure must not ask again.
func (d *Driver) SetPower(ctx context.Context, call drivers.Call, machine string, op drivers.PowerOp) (drivers.Task, error) {
	if call.Expired(time.Now()) {
		return drivers.Task{}, fault.At(d.name, string(op), machine, fault.Expired(call))
	}
	m, t, err := d.settings(string(op), machine)
	if err != nil {
		return drivers.Task{}, err
	}
	ctx, cancel := call.Within(ctx, d.timeout)
	defer cancel()
	task, err := d.set(ctx, call, machine, op, m, t)
	if err != nil {
		return drivers.Task{}, fault.At(d.name, string(op), machine, err)
	}
	return task, nil
}

func (d *Driver) set(ctx context.Context, call drivers.Call, machine string, op drivers.PowerOp, m Machine, t target) (drivers.Task, error) {
	s := d.look(ctx, machine, t)
	defer s.close()
	line := commands[op]
	switch {
	case op == drivers.OpPowerOn:
		return d.start(ctx, call, machine, m, s)
	case s.state == drivers.PowerOff && (op == drivers.OpShutdown || op == drivers.OpPowerOff):
		return drivers.Done(""), nil
	case s.state == drivers.PowerOff:
		return drivers.Task{}, fault.Errorf(drivers.KindRefused, "the machine is off")
	case s.err != nil:
		return drivers.Task{}, s.err
	case line == "":
		return drivers.Task{}, fault.Errorf(drivers.KindUnsupported, "a machine without a management controller can't be forced: shut it down, or switch it by hand")
	case s.ending && op == drivers.OpShutdown:
		return drivers.Task{State: drivers.TaskRunning}, nil
	case s.client == nil:
		return drivers.Task{}, fault.Errorf(drivers.KindBusy, "it is shutting down")
	case call.Expired(time.Now()):
		return drivers.Task{}, fault.Expired(call)
	}
	if t.sudo {
		line = "sudo -n " + line
	}
	asked, err := ask(ctx, s.client, line)
	if asked && op == drivers.OpShutdown {
		d.accepted(machine)
	}
	if err != nil {
		return drivers.Task{}, err
	}
	if op == drivers.OpReboot {
		return drivers.Done(""), nil
	}
	return drivers.Task{State: drivers.TaskRunning}, nil
}

// commands are what the operating system is told; systemd, sysvinit and the
// BSDs know them.
var commands = map[drivers.PowerOp]string{
	drivers.OpShutdown: "shutdown -P now",
	drivers.OpReboot:   "shutdown -r now",
}

// start wakes a machine that doesn't answer, whether it is off or not: one
// that is on takes no notice.
func (d *Driver) start(ctx context.Context, call drivers.Call, machine string, m Machine, s sight) (drivers.Task, error) {
	switch {
	case s.ending:
		return drivers.Task{}, fault.Errorf(drivers.KindBusy, "it is shutting down, and can be woken only after that")
	case s.state == drivers.PowerOn:
		return drivers.Done(""), nil
	case ctx.Err() != nil || s.err != nil && fault.KindOf(s.err) != drivers.KindUnreachable:
		return drivers.Task{}, s.err
	case call.Expired(time.Now()):
		return drivers.Task{}, fault.Expired(call)
	}
	if err := wake(ctx, m); err != nil {
		return drivers.Task{}, err
	}
	d.forget(machine)
	return drivers.Task{State: drivers.TaskRunning}, nil
}

// settings are how to reach a machine.
func (d *Driver) settings(op, machine string) (Machine, target, error) {
	m, ok := d.machine(machine)
	if !ok {
		return m, target{}, fault.At(d.name, op, machine, fault.Errorf(drivers.KindNotFound, "nothing is known of how to reach it"))
	}
	t, err := m.target()
	if err != nil {
		return m, t, fault.At(d.name, op, machine, fault.Errorf(drivers.KindRefused, "its settings of bmc: %w", err))
	}
	return m, t, nil
}
