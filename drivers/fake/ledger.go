package fake

import (
	"time"

	"yagura/drivers"
)

// Ledger operations, beside the values of drivers.PowerOp, which name what
// happened to a VM. Power operations on a physical machine or VM server carry
// the prefix HostPrefix, whether they came through its BMC or its manager;
// Effect.System tells the two apart.
const (
	OpMigrate        = "migrate"  // VM to another VM server, disks stay
	OpMove           = "move"     // stopped VM to another VM server with its disks
	OpRegister       = "register" // failover: the record of a VM of a dead VM server to a live one
	OpClone          = "clone"
	OpDestroy        = "destroy"
	OpMaintenanceOn  = "maintenance-on"
	OpMaintenanceOff = "maintenance-off"
	HostPrefix       = "host-"
)

// Operations of calls that change nothing: they reach hooks and faults, never the ledger.
const (
	OpInventory  = "inventory"
	OpLoads      = "loads"
	OpReadVM     = "read-vm"
	OpReadServer = "read-server"
	OpReadTask   = "read-task"
	OpReadPower  = "read-power" // through the BMC
	OpFollow     = "follow"
	OpEvents     = "events"
	OpEventsEnd  = "events-end"
)

// Effect is one change of state that took place because a driver asked for it.
type Effect struct {
	Time   time.Time
	System string
	Op     string
	Object string // name of the VM, VM server or machine
	Token  string // Call.Token of the call that caused it
	Result string // target VM server of a relocation, UUID of a clone, otherwise "ok"
}

// record appends to the ledger. The caller holds mu.
func (w *World) record(call drivers.Call, system, op, object, result string) {
	w.ledger = append(w.ledger, Effect{Time: w.now(), System: system, Op: op, Object: object, Token: call.Token, Result: result})
}

// Ledger returns the effects so far, in the order in which they took place.
func (w *World) Ledger() []Effect {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return append([]Effect(nil), w.ledger...)
}

// Count tells how many effects of op on object took place; an empty op or
// object counts all.
func (w *World) Count(op, object string) int {
	n := 0
	for _, e := range w.Ledger() {
		if (op == "" || e.Op == op) && (object == "" || e.Object == object) {
			n++
		}
	}
	return n
}

// Repeated returns every effect that repeats an earlier one on the same
// object, whatever its token: a sequence that needs each operation once per
// object has none.
func (w *World) Repeated() []Effect {
	type key struct{ system, op, object string }
	seen := map[key]bool{}
	var out []Effect
	for _, e := range w.Ledger() {
		k := key{e.System, e.Op, e.Object}
		if seen[k] {
			out = append(out, e)
		}
		seen[k] = true
	}
	return out
}

// ResetLedger forgets the effects so far.
func (w *World) ResetLedger() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger = nil
}

// Violations returns what the other systems allowed but a controller must
// never do, such as starting a VM that still runs on an isolated VM server.
func (w *World) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return append([]string(nil), w.violations...)
}
