package drivers

import (
	"context"
	"time"
)

// Scenario is distribution software that a system offers (manual 1.4).
type Scenario struct {
	Name    string
	Content time.Time // date of its content
}

// Run asks for a scenario or script to be run for a machine.
type Run struct {
	Name    string            // of the software
	Body    string            // text of the playbook or script; empty: Object names a file of the system
	Object  string            // file, or name of the scenario in the system
	Machine string            // name of the machine
	Address string            // where the machine's operating system is reached, IP or HOST:PORT
	Vars    map[string]string // PVM_... variables of the manual (1.7.1)
	// Identity is what the machine becomes: host name and addresses. It
	// reaches scenarios as cloud-init NoCloud files beside the variables.
	Identity Identity
	Timeout  time.Duration // the run is ended by force after it; 0: DefaultRunTimeout
}

// DefaultRunTimeout is how long a scenario or script may take unless its Run
// says otherwise (manual 1.7.1).
const DefaultRunTimeout = 2 * time.Hour

// Limit is how long the run may take.
func (r Run) Limit() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return DefaultRunTimeout
}

// Distributor runs scenarios and scripts (the role of DPM, manual 1.4).
type Distributor interface {
	// Scenarios reads what the system offers.
	Scenarios(ctx context.Context) ([]Scenario, error)
	// Start starts a run. Its task's id finds it again from any manager, if the
	// system can do that at all. A run that this call's token started before is
	// returned, not repeated.
	Start(ctx context.Context, call Call, run Run) (Task, error)
	// Find looks for the run that a token started: its id, "" when it is proven
	// that there was none. KindUnknown or KindUnreachable when nobody can tell.
	Find(ctx context.Context, token string, run Run) (id string, err error)
	// Task takes one look at a run; Task.Output is the newest part of what it wrote.
	Task(ctx context.Context, id string) (Task, error)
	// Cancel ends a run by force. One that is over stays as it is.
	Cancel(ctx context.Context, call Call, id string) error
	// Close ends the session. Runs go on.
	Close(ctx context.Context) error
}
