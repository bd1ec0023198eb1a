package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/common"
	"github.com/stmcginnis/gofish/redfish"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// Driver switches machines. Its methods may be called from any goroutine.
type Driver struct {
	name    string
	machine func(name string) (Machine, bool)
	timeout time.Duration
}

var _ drivers.Power = (*Driver)(nil)

// New makes a driver. name appears in errors: the subsystem's name. machine
// says how to reach a machine's BMC; it is asked at every call, so that new
// settings count at once, and must be safe for concurrent use. timeout bounds
// a call; 0: DefaultTimeout.
func New(name string, machine func(name string) (Machine, bool), timeout time.Duration) *Driver {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Driver{name: name, machine: machine, timeout: timeout}
}

// PowerState implements drivers.Power. A machine that is on its way shows the
// state that it comes from.
func (d *Driver) PowerState(ctx context.Context, machine string) (drivers.PowerState, error) {
	state := drivers.PowerUnknown
	err := d.talk(ctx, drivers.Call{}, "read-power", machine, func(b bmc, s *redfish.ComputerSystem) error {
		if err := b.confirm(s); err != nil {
			return err
		}
		state = powerState(s.PowerState)
		return nil
	})
	return state, err
}

func powerState(s redfish.PowerState) drivers.PowerState {
	switch s {
	case redfish.OnPowerState, redfish.PoweringOffPowerState:
		return drivers.PowerOn
	case redfish.OffPowerState, redfish.PoweringOnPowerState:
		return drivers.PowerOff
	case redfish.PausedPowerState:
		return drivers.PowerSuspended
	}
	return drivers.PowerUnknown
}

// resets are the values of ResetType that bring an operation about, the best first.
var resets = map[drivers.PowerOp][]redfish.ResetType{
	drivers.OpPowerOn:  {redfish.OnResetType, redfish.ForceOnResetType},
	drivers.OpPowerOff: {redfish.ForceOffResetType},
	drivers.OpShutdown: {redfish.GracefulShutdownResetType},
	drivers.OpReboot:   {redfish.GracefulRestartResetType},
	drivers.OpReset:    {redfish.ForceRestartResetType, redfish.PowerCycleResetType},
}

// SetPower implements drivers.Power. Reboot and Reset are acts: Redfish has no
// place for a token, so a caller that isn't sure must not ask again.
func (d *Driver) SetPower(ctx context.Context, call drivers.Call, machine string, op drivers.PowerOp) (drivers.Task, error) {
	if call.Expired(time.Now()) {
		return drivers.Task{}, d.expired(call, op, machine)
	}
	if !call.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, call.Deadline)
		defer cancel()
	}
	out := drivers.Task{State: drivers.TaskRunning}
	err := d.talk(ctx, call, string(op), machine, func(b bmc, s *redfish.ComputerSystem) error {
		if err := b.confirm(s); err != nil {
			return err
		}
		wanted := goals[op]
		switch {
		case wanted != "" && s.PowerState == wanted:
			out = drivers.Done("")
			return nil
		case op == drivers.OpPowerOn && s.PowerState == redfish.PoweringOnPowerState:
			return nil
		}
		reset, err := choose(op, s)
		if err != nil {
			return err
		}
		if call.Expired(time.Now()) {
			return d.expired(call, op, machine)
		}
		if err := s.Reset(reset); err != nil {
			return &sent{err}
		}
		if wanted == "" {
			out = drivers.Done("")
			return nil
		}
		// The effect is on its way whatever this look says or fails to say.
		if now, err := redfish.GetComputerSystem(b.client, s.ODataID); err == nil && now.PowerState == wanted {
			out = drivers.Done("")
		}
		return nil
	})
	if err != nil {
		return drivers.Task{}, err
	}
	return out, nil
}

// goals are the states in which operations end. A restart isn't among them: no
// state tells that it took place.
var goals = map[drivers.PowerOp]redfish.PowerState{
	drivers.OpPowerOn:  redfish.OnPowerState,
	drivers.OpPowerOff: redfish.OffPowerState,
	drivers.OpShutdown: redfish.OffPowerState,
}

// choose finds the reset that brings op about among those that the system has.
func choose(op drivers.PowerOp, s *redfish.ComputerSystem) (redfish.ResetType, error) {
	if (op == drivers.OpReboot || op == drivers.OpReset) && s.PowerState == redfish.OffPowerState {
		return "", fault.Errorf(drivers.KindRefused, "the machine is off")
	}
	for _, r := range resets[op] {
		if len(s.SupportedResetTypes) == 0 || slices.Contains(s.SupportedResetTypes, r) {
			return r, nil
		}
	}
	return "", fault.Errorf(drivers.KindUnsupported, "the system takes none of %v, only %v", resets[op], s.SupportedResetTypes)
}

func (d *Driver) expired(call drivers.Call, op drivers.PowerOp, machine string) error {
	return &drivers.Error{
		Kind: drivers.KindExpired, System: d.name, Op: string(op), Object: machine,
		Err: call.Late(),
	}
}

// bmc is a conversation with a machine's BMC.
type bmc struct {
	client *gofish.APIClient
	m      Machine
}

// confirm sees that the system is the one that the settings mean.
func (b bmc) confirm(s *redfish.ComputerSystem) error {
	if err := drivers.CheckSystem(b.m.URL, b.m.UUID, s.UUID); err != nil {
		return fault.New(drivers.KindWrongMachine, err)
	}
	return nil
}

// talk opens a conversation with a machine's BMC, reads its system and hands it to fn.
func (d *Driver) talk(ctx context.Context, call drivers.Call, op, machine string, fn func(bmc, *redfish.ComputerSystem) error) error {
	fail := func(k drivers.Kind, err error) error {
		return &drivers.Error{Kind: k, System: d.name, Op: op, Object: machine, Err: err}
	}
	m, ok := d.machine(machine)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("no management controller is known for it"))
	}
	u, err := m.address()
	if err != nil {
		return fail(drivers.KindRefused, fmt.Errorf("settings of its management controller: %w", err))
	}
	conf, err := m.trust().Config(u.Hostname())
	if err != nil {
		return fail(drivers.KindRefused, fmt.Errorf("settings of its management controller: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	hc := httpClient(conf, call.Token)
	defer hc.CloseIdleConnections()
	c, err := gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: strings.TrimSuffix(u.String(), "/"), Username: m.User, Password: m.Password, BasicAuth: true,
		HTTPClient: hc, ReuseConnections: true,
	})
	if err == nil {
		var s *redfish.ComputerSystem
		if s, err = system(c, m.System); err == nil {
			err = fn(bmc{c, m}, s)
		}
	}
	if err == nil {
		return nil
	}
	var own *drivers.Error
	if errors.As(err, &own) {
		return own
	}
	return fail(classify(err))
}

const systemsPath = common.DefaultServiceRoot + "Systems"

// system reads the named system, or the only one.
func system(c *gofish.APIClient, id string) (*redfish.ComputerSystem, error) {
	if id != "" {
		return redfish.GetComputerSystem(c, systemsPath+"/"+url.PathEscape(id))
	}
	res, err := c.Get(systemsPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var list struct {
		Members []struct {
			ID string `json:"@odata.id"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("read the list of systems: %w", err)
	}
	if n := len(list.Members); n != 1 {
		return nil, fault.Errorf(drivers.KindRefused, "the management controller has %d systems; name one in the settings", n)
	}
	return redfish.GetComputerSystem(c, list.Members[0].ID)
}
