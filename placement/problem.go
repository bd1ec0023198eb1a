package placement

import "time"

// ServerState says whether a VM server runs.
type ServerState string

// States of a VM server.
const (
	ServerOn           ServerState = "on"           // runs and answers: VMs can be moved from and to it
	ServerOff          ServerState = "off"          // powered off on purpose: takes VMs after a start
	ServerDisconnected ServerState = "disconnected" // its VMs may still run: nothing is moved from or to it
	ServerFailed       ServerState = "failed"       // proven not to run: its VMs can be failed over
)

// Power is the power state of a VM. Only VMs that are on use capacity.
type Power string

// Power states of a VM.
const (
	PowerOn        Power = "on"
	PowerOff       Power = "off"
	PowerSuspended Power = "suspended" // must be resumed before it can be moved (manual 5.2.4)
)

// MaxQuantity is the greatest value of a capacity, cost, demand or limit. It
// keeps every sum over a million VMs inside an int64.
const MaxQuantity = int64(1) << 40

// Dimension is a quantity beside the capacity number of the manual.
type Dimension struct {
	// Name is one word, for example "mem" or "cpu". The unit is the
	// operator's choice (MiB, thousandths of a core); values are whole.
	Name string
	// Measured dimensions are observed load: they are levelled and kept
	// under the server model's boundaries, but never forbid a placement.
	// The others are reservations with a limit that is never exceeded.
	Measured bool
}

// Limit is what a VM server offers in one dimension.
type Limit struct {
	Limit int64 // what VMs may use in all; for a measured dimension what full load means
	Own   int64 // what the server uses itself; not part of Limit
	Size  int64 // divisor when servers are compared; 0 means Limit + Own
}

// Server is a VM server.
type Server struct {
	Name       string
	Model      string // VM-server model, key into Problem.Models; may be empty
	Datacenter string
	Rack       string // for Spread rules; empty: a rack of its own
	State      ServerState
	// Maintenance forbids starting VMs and moving VMs here (manual 1.3.7).
	Maintenance bool
	// Startable says that a server that is off may be started for a plan.
	Startable bool
	// KeepOn forbids that a plan stops the server.
	KeepOn   bool
	Capacity int64   // the capacity number of manual 1.3.5, at least 1
	Limits   []Limit // one for each of Problem.Dimensions
	// Datastores and Networks that VMs on this server can reach.
	Datastores []string
	Networks   []string
	StartTime  time.Duration // how long a start takes
	StartCost  int64         // weight of a start against moves; 0 means 1
	// SinceChange is the time since the server was last started or stopped;
	// 0 means unknown, which is taken for long ago.
	SinceChange time.Duration
}

// VM is a virtual machine.
type VM struct {
	Name   string
	Cost   int64   // the cost value of manual 1.3.5
	Demand []int64 // one for each of Problem.Dimensions
	Power  Power
	Server string // the VM server it is on; empty for a VM that doesn't exist yet
	// OptimalStart allows a start on another server when the current one
	// can't (manual 1.3.7). It is set on the VM's model.
	OptimalStart bool
	// ServerModels are the VM-server models tied to the VM's model: only
	// their servers are candidates. If empty, all servers of Datacenter are.
	ServerModels []string
	Datacenter   string   // empty: that of the current server, if any
	Datastores   []string // shared datastores its disks are on
	LocalDisk    bool     // some of its disk is on no shared datastore: it can't be migrated or failed over
	Networks     []string // virtual networks it is connected to
	Priority     int      // greater is restarted and placed first
	MoveCost     int64    // weight of a move of this VM; 0 means 1
	// SinceMove is the time since the VM was last moved; 0 means unknown,
	// which is taken for long ago.
	SinceMove time.Duration
}

// RuleKind is the kind of an operator's Rule.
type RuleKind string

// Kinds of rules.
const (
	RuleApart    RuleKind = "apart"    // at most Max of the VMs on one server, running or not
	RuleTogether RuleKind = "together" // all on one server; they move together in one wave
	RuleSpread   RuleKind = "spread"   // at most Max of the VMs in one rack
	RulePin      RuleKind = "pin"      // only on Servers
	RuleForbid   RuleKind = "forbid"   // not on Servers
	RuleHold     RuleKind = "hold"     // not moved while their server runs
)

// Rule is a constraint that an operator puts on VMs.
type Rule struct {
	Name    string
	Kind    RuleKind
	VMs     []string
	Servers []string // pin and forbid only
	Max     int      // apart and spread only; 0 means 1
}

// ServerModel carries the VM-placement setting of a VM-server model (manual
// 1.3.6). Boundaries are percent of a server's load: the greatest share over
// the measured dimensions, or of the capacity if none is measured, or over the
// reserved dimensions if no VM has a cost.
type ServerModel struct {
	Name string
	// Placement switches level and save for servers of this model.
	Placement  bool
	High       int // load above this is high load
	TargetLow  int // target range, lower end
	TargetHigh int // target range, upper end: levelling and saving fill up to this
	Low        int // load below this is low load
}

// Settings apply to every plan made from the problem.
type Settings struct {
	Seed uint64 // of the search's random choices
	// ReserveFailures is the number of servers whose loss must leave room
	// for all VMs. Saving power and starting VMs keep it if it is kept.
	ReserveFailures int
	// MoveBudget bounds the moves of levelling and saving; 0 means no bound.
	MoveBudget int
	// Hold is the time for which a VM once moved, or a server once started
	// or stopped, is left alone by levelling and saving.
	Hold time.Duration
	// MinGain is what a levelling move must lower the score by for each unit
	// of its MoveCost, in thousandths over the number of servers: one move
	// among a hundred servers can't do much; 0 means 20.
	MinGain int64
	// ColdMove allows that a powered-off VM is moved together with its disks
	// to a server that doesn't reach its datastores.
	ColdMove bool
}

// Problem is all that placement knows. It is plain data: build it in any
// order, then Solve or Compile it, which check it first.
type Problem struct {
	Name       string
	Dimensions []Dimension
	Settings   Settings
	Models     []ServerModel
	Servers    []Server
	VMs        []VM
	Rules      []Rule
}
