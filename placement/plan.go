package placement

// Objective says what a plan is to achieve.
type Objective string

// Objectives.
const (
	// Start starts the VMs of the request: on their current server, or by
	// optimal start elsewhere (manual 1.3.7).
	Start Objective = "start"
	// Create places the VMs of the request, which are on no server yet.
	Create Objective = "create"
	// Evacuate takes all VMs off the servers of the request. VMs of failed
	// servers are failed over in the order of their priority.
	Evacuate Objective = "evacuate"
	// SavePower gathers the VMs on fewer servers inside the proper range
	// and stops those left without running VMs (manual 1.3.6).
	SavePower Objective = "save-power"
	// Level evens out the load of the servers, and starts a stopped server
	// if some stay above the high-load boundary (manual 1.3.6).
	Level Objective = "level"
	// CheckFailures finds out for each server that runs whether the others
	// could take its VMs, and which stopped servers to start if not.
	CheckFailures Objective = "check-failures"
	// Room counts how many more VMs like the one of the request fit.
	Room Objective = "room"
)

// Request asks for one plan.
type Request struct {
	Objective Objective
	VMs       []string // Start, Create: the VMs, placed in order of priority
	Servers   []string // Evacuate: the servers to empty
	// NoServerStart forbids that stopped servers are started for the plan.
	NoServerStart bool
}

// MoveKind is the way in which a move is carried out (manual 1.2.1, 1.11.10).
type MoveKind string

// Kinds of moves.
const (
	HotMigrate  MoveKind = "hot-migrate"  // powered-on VM, shared storage
	ColdMigrate MoveKind = "cold-migrate" // powered-off VM, shared storage
	ColdMove    MoveKind = "move"         // powered-off VM together with its disks
	Failover    MoveKind = "failover"     // VM of a failed server, registered and powered as before
	PowerOnVM   MoveKind = "start"        // power on at To; From is the same server
	CreateVM    MoveKind = "create"       // From is empty
)

// Move is one action on one VM. Moves are carried out in order of their Wave;
// those of one wave may run side by side.
type Move struct {
	VM     string   `json:"vm"`
	From   string   `json:"from,omitempty"`
	To     string   `json:"to"`
	Kind   MoveKind `json:"kind"`
	Wave   int      `json:"wave"` // from 1
	Reason string   `json:"reason"`
}

// ServerAction is the start of a server before the moves, or the stop of a
// server after them.
type ServerAction struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// Unplaced is a VM that the plan finds no server for.
type Unplaced struct {
	VM string `json:"vm"`
	// Reasons has, for each server of the problem in its order, the rule
	// that said no. A single rejection without a server concerns the VM.
	Reasons []Rejection `json:"reasons"`
}

// Totals sums up a state of the problem.
type Totals struct {
	ServersOn int   `json:"servers_on"` // servers that run
	VMsOn     int   `json:"vms_on"`     // VMs that are powered on, on servers that run
	Capacity  int64 `json:"capacity"`   // of the servers that run
	Cost      int64 `json:"cost"`       // of those VMs
	// Score is how unevenly the servers that run are loaded: the standard
	// deviation of their shares in use, summed over the problem's
	// dimensions, or over the capacity number if it has none.
	Score float64 `json:"score"`
}

// ServerLoad is what a server that the plan touches carries before and after.
type ServerLoad struct {
	Server   string `json:"server"`
	Capacity int64  `json:"capacity"`
	Before   int64  `json:"before"` // cost of the VMs powered on
	After    int64  `json:"after"`
}

// Plan is the answer to a Request. A plan without moves, starts and stops
// means: nothing to do, or nothing that can be done; Unplaced tells which.
type Plan struct {
	Objective   Objective      `json:"objective"`
	StartBefore []ServerAction `json:"start_before,omitempty"`
	Moves       []Move         `json:"moves,omitempty"`
	StopAfter   []ServerAction `json:"stop_after,omitempty"`
	Unplaced    []Unplaced     `json:"unplaced,omitempty"`
	// Rejections tell why the servers that were not chosen were not: for
	// Start and Create a row for each VM and server, unless the request
	// names more than 20 VMs. For SavePower a row for each server that stays
	// on, for Level one for each that took no part or stays above high load.
	Rejections []Rejection  `json:"rejections,omitempty"`
	Loads      []ServerLoad `json:"loads,omitempty"`
	Before     Totals       `json:"before"`
	After      Totals       `json:"after"`
	// Bound is proven: no plan reaches less. For SavePower and Create it is
	// the number of servers that run. 0 means that none is known.
	Bound int `json:"bound,omitempty"`
	// ScoreBound is proven: no placement of the VMs on the servers that run
	// after a Level plan has a lower Score.
	ScoreBound float64 `json:"score_bound,omitempty"`
	// Failures has the answer of CheckFailures, a row for each server that
	// runs, in the order of the problem.
	Failures []Failure `json:"failures,omitempty"`
	// Missing is what CheckFailures finds lacking even with all startable
	// servers started; nil if nothing is.
	Missing *Missing `json:"missing,omitempty"`
	// Rooms has the answer of Room, a row for each server.
	Rooms []ServerRoom `json:"rooms,omitempty"`
}

// Gap is how far the servers that run after the plan are above the proven
// bound, as a share of it; 0 if no bound is known.
func (p *Plan) Gap() float64 {
	if p.Bound == 0 {
		return 0
	}
	return float64(p.After.ServersOn-p.Bound) / float64(p.Bound)
}

// Failure says where the VMs of a server would go if it failed.
type Failure struct {
	Server   string     `json:"server"`
	Moves    []Move     `json:"moves,omitempty"`
	Unplaced []Unplaced `json:"unplaced,omitempty"`
}

// Missing is a number of further servers that would be needed.
type Missing struct {
	Servers int    `json:"servers"`
	Like    string `json:"like"` // the server that each would be like
}

// ServerRoom is how many more VMs of a kind fit on a server, and if none why.
type ServerRoom struct {
	Server  string     `json:"server"`
	VMs     int64      `json:"vms"`
	Stopped bool       `json:"stopped,omitempty"` // it would have to be started first
	Why     *Rejection `json:"why,omitempty"`
}
