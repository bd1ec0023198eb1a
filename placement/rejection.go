package placement

import (
	"encoding/json"
	"fmt"
)

// RuleName names the rule behind a Rejection.
type RuleName string

// Rules that forbid a server for a VM, or a VM's move altogether.
const (
	NoServerFailed       RuleName = "server-failed"
	NoServerDisconnected RuleName = "server-disconnected"
	NoServerOff          RuleName = "server-off"
	NoMaintenance        RuleName = "maintenance"
	NoEvacuated          RuleName = "evacuated"
	NoModel              RuleName = "model"
	NoDatacenter         RuleName = "datacenter"
	NoDatastore          RuleName = "datastore"
	NoNetwork            RuleName = "network"
	NoCapacity           RuleName = "capacity"
	NoDimension          RuleName = "dimension"
	NoApart              RuleName = "apart"
	NoTogether           RuleName = "together"
	NoSpread             RuleName = "spread"
	NoPin                RuleName = "pin"
	NoForbid             RuleName = "forbid"
	NoHold               RuleName = "hold"
	NoLocalDisk          RuleName = "local-disk"
	NoSuspended          RuleName = "suspended"
	NoOptimalStart       RuleName = "optimal-start-off"
	NoSource             RuleName = "source-disconnected"
	NoReserve            RuleName = "reserve"
)

// Rules that prefer another server.
const (
	NotCurrent   RuleName = "current-preferred"     // the current server can start the VM
	NotLeastFree RuleName = "least-free-preferred"  // another server has less free capacity
	NotRunning   RuleName = "running-preferred"     // a server that runs can take the VM
	NotStarted   RuleName = "other-start-preferred" // another stopped server is started
)

// Rules that keep a server on, or a VM in its place, in plans that save power
// or level load.
const (
	NoKeepOn     RuleName = "keep-on"
	NoStartable  RuleName = "not-startable"
	NoPlacement  RuleName = "placement-off"
	NoHoldServer RuleName = "server-hold-time"
	NoHoldTime   RuleName = "hold-time"
	NoFixedVM    RuleName = "fixed-vm"
	NotNeeded    RuleName = "needed"
	StillHigh    RuleName = "still-high"
)

// Rejection says why a server was not chosen for a VM. It holds values, not
// text, so that a thousand of them cost little; Sentence makes the text.
type Rejection struct {
	VM     string
	Server string // empty: the rule concerns the VM wherever it goes
	Rule   RuleName
	// Subject is what the rule is about: the dimension, model, datastore,
	// network, operator's rule or preferred server.
	Subject string
	Need    int64 // capacity and dimension: what the VM needs
	Free    int64 // capacity and dimension: what the server has free
}

// Sentence tells the rejection in words.
func (r Rejection) Sentence() string {
	switch r.Rule {
	case NoServerFailed:
		return fmt.Sprintf("%s has failed", r.Server)
	case NoServerDisconnected:
		return fmt.Sprintf("%s is disconnected, so nothing can be moved to it", r.Server)
	case NoServerOff:
		return fmt.Sprintf("%s is off and may not be started", r.Server)
	case NoMaintenance:
		return fmt.Sprintf("%s is in maintenance mode", r.Server)
	case NoEvacuated:
		return fmt.Sprintf("%s is itself being emptied", r.Server)
	case NoModel:
		return fmt.Sprintf("%s has the VM-server model %q, which is not tied to the model of %s", r.Server, r.Subject, r.VM)
	case NoDatacenter:
		return fmt.Sprintf("%s is in the datacenter %q, not in that of %s", r.Server, r.Subject, r.VM)
	case NoDatastore:
		return fmt.Sprintf("%s does not reach datastore %q, which %s uses", r.Server, r.Subject, r.VM)
	case NoNetwork:
		return fmt.Sprintf("%s does not have network %q, which %s uses", r.Server, r.Subject, r.VM)
	case NoCapacity:
		return fmt.Sprintf("%s has %d of its capacity free, %s costs %d", r.Server, r.Free, r.VM, r.Need)
	case NoDimension:
		return fmt.Sprintf("%s has %d %s free, %s needs %d", r.Server, r.Free, r.Subject, r.VM, r.Need)
	case NoApart:
		return fmt.Sprintf("rule %q keeps %s apart from VMs on %s", r.Subject, r.VM, r.Server)
	case NoTogether:
		return fmt.Sprintf("rule %q keeps %s together with VMs that are not on %s", r.Subject, r.VM, r.Server)
	case NoSpread:
		return fmt.Sprintf("rule %q keeps %s out of the rack of %s", r.Subject, r.VM, r.Server)
	case NoPin:
		return fmt.Sprintf("rule %q pins %s to servers other than %s", r.Subject, r.VM, r.Server)
	case NoForbid:
		return fmt.Sprintf("rule %q forbids %s on %s", r.Subject, r.VM, r.Server)
	case NoHold:
		return fmt.Sprintf("rule %q holds %s where it is", r.Subject, r.VM)
	case NoLocalDisk:
		return fmt.Sprintf("%s has a disk on no shared datastore, so it cannot be moved this way", r.VM)
	case NoSuspended:
		return fmt.Sprintf("%s is suspended; resume it before it is moved or started", r.VM)
	case NoOptimalStart:
		return fmt.Sprintf("%s may start on its current server only, since optimal start is off for its model", r.VM)
	case NoSource:
		return fmt.Sprintf("%s is on a server that is disconnected and may still run it", r.VM)
	case NoReserve:
		if r.VM == "" {
			return fmt.Sprintf("%s stays on, since the reserve for failures is not kept even so", r.Server)
		}
		return fmt.Sprintf("with %s on %s the reserve for failures would not be kept", r.VM, r.Server)
	case NoKeepOn:
		return fmt.Sprintf("%s is to be kept on", r.Server)
	case NoStartable:
		return fmt.Sprintf("%s stays on, since it could not be started again from here", r.Server)
	case NoPlacement:
		return fmt.Sprintf("%s is left alone, since VM placement is off for its model %q", r.Server, r.Subject)
	case NoHoldServer:
		return fmt.Sprintf("%s was started or stopped a short time ago", r.Server)
	case NoHoldTime:
		return fmt.Sprintf("%s was moved a short time ago", r.VM)
	case NoFixedVM:
		return fmt.Sprintf("%s stays on for %s: %s", r.Server, r.VM, r.Subject)
	case NotNeeded:
		return fmt.Sprintf("%s carries VMs that found no place elsewhere: %d servers stay on, and fewer than %d are proven impossible", r.Server, r.Free, r.Need)
	case StillHigh:
		return fmt.Sprintf("%s stays at %d %%, above its high-load boundary of %d %%: no move that may be made helps enough", r.Server, r.Need, r.Free)
	case NotCurrent:
		return fmt.Sprintf("%s can start on its current server %s", r.VM, r.Subject)
	case NotLeastFree:
		return fmt.Sprintf("%s could take %s, but %s has less free capacity", r.Server, r.VM, r.Subject)
	case NotRunning:
		return fmt.Sprintf("%s is off, and %s, which runs, can take %s", r.Server, r.Subject, r.VM)
	case NotStarted:
		return fmt.Sprintf("%s is off, and %s is started for %s instead", r.Server, r.Subject, r.VM)
	}
	return fmt.Sprintf("%s is not chosen for %s (%s %s)", r.Server, r.VM, r.Rule, r.Subject)
}

// MarshalJSON writes the fields and the sentence.
func (r Rejection) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		VM      string   `json:"vm,omitempty"`
		Server  string   `json:"server,omitempty"`
		Rule    RuleName `json:"rule"`
		Subject string   `json:"subject,omitempty"`
		Need    int64    `json:"need,omitempty"`
		Free    int64    `json:"free,omitempty"`
		Message string   `json:"message"`
	}{r.VM, r.Server, r.Rule, r.Subject, r.Need, r.Free, r.Sentence()})
}
