package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Op names an effect, in the ledger and in `pvmd sim ctl delay|fail`.
type Op string

// The effects that are recorded.
const (
	OpPowerOn        Op = "power-on"        // VM
	OpPowerOff       Op = "power-off"       // VM, by force
	OpShutdown       Op = "shutdown"        // VM, through its guest
	OpReboot         Op = "reboot"          // VM, through its guest
	OpReset          Op = "reset"           // VM, by force
	OpSuspend        Op = "suspend"         // VM
	OpMigrate        Op = "migrate"         // VM to another server, disks stay
	OpMove           Op = "move"            // VM to another datastore (and server)
	OpRegister       Op = "register"        // VM record of a dead server to a live one, or from its files
	OpUnregister     Op = "unregister"      // VM record, files stay
	OpClone          Op = "clone"           // object is the new VM
	OpCreate         Op = "create"          // VM
	OpDestroy        Op = "destroy"         // VM with its files
	OpReconfigure    Op = "reconfigure"     // VM settings
	OpRename         Op = "rename"          // VM; object is the old name
	OpMaintenanceOn  Op = "maintenance-on"  // VM server
	OpMaintenanceOff Op = "maintenance-off" // VM server
	OpDisconnect     Op = "host-disconnect" // VM server, from vCenter
	OpReconnect      Op = "host-reconnect"  // VM server, to vCenter
	OpHostPowerOn    Op = "host-power-on"   // machine: BMC, or leaving standby
	OpHostPowerOff   Op = "host-power-off"  // machine: BMC, by force
	OpHostShutdown   Op = "host-shutdown"   // machine: through its operating system
	OpHostReboot     Op = "host-reboot"     // machine: through its operating system
	OpHostReset      Op = "host-reset"      // machine: BMC, by force
	OpHostStandby    Op = "host-standby"    // VM server, through vCenter
	OpVLANAdd        Op = "vlan-add"        // "PORT VLAN-ID" of a switch
	OpVLANRemove     Op = "vlan-remove"     // "PORT VLAN-ID" of a switch
	OpLBAdd          Op = "lb-add"          // "POOL/MEMBER" of a balancer
	OpLBDrain        Op = "lb-drain"        // "POOL/MEMBER" of a balancer
	OpLBRemove       Op = "lb-remove"       // "POOL/MEMBER" of a balancer
	OpConnect        Op = "connect"         // "VOLUME INITIATOR" of an array
	// OpDisconnectVolume is about "VOLUME INITIATOR" of an array.
	OpDisconnectVolume Op = "disconnect"
)

// allOps is every Op, in the order that help texts list them.
var allOps = []Op{
	OpPowerOn, OpPowerOff, OpShutdown, OpReboot, OpReset, OpSuspend,
	OpMigrate, OpMove, OpRegister, OpUnregister, OpClone, OpCreate, OpDestroy, OpReconfigure, OpRename,
	OpMaintenanceOn, OpMaintenanceOff, OpDisconnect, OpReconnect,
	OpHostPowerOn, OpHostPowerOff, OpHostShutdown, OpHostReboot, OpHostReset, OpHostStandby,
	OpVLANAdd, OpVLANRemove, OpLBAdd, OpLBDrain, OpLBRemove, OpConnect, OpDisconnectVolume,
}

// opRelocate is accepted where an Op is expected and stands for the three
// things that vCenter's RelocateVM_Task can turn out to be.
const opRelocate = "relocate"

// Ops returns every operation name that Delay and Fail accept.
func Ops() []string {
	out := make([]string, 0, len(allOps)+1)
	for _, op := range allOps {
		out = append(out, string(op))
	}
	return append(out, opRelocate)
}

func parseOps(name string) ([]Op, error) {
	if name == opRelocate {
		return []Op{OpMigrate, OpMove, OpRegister}, nil
	}
	if slices.Contains(allOps, Op(name)) {
		return []Op{Op(name)}, nil
	}
	return nil, &UsageError{Msg: fmt.Sprintf("no operation is named %q; there are: %s", name, strings.Join(Ops(), ", "))}
}

// Entry is one line of the ledger: one effect that was asked of the simulated
// world. Reads, and changes of what the control endpoint put in, are not in it.
type Entry struct {
	Time   time.Time `json:"time"`
	System string    `json:"system"` // vc1, bmc-esx02, ...
	Op     Op        `json:"op"`
	Object string    `json:"object"` // name of the VM or machine, port and VLAN, pool and server, volume and initiator
	Token  string    `json:"token"`  // what the caller sent to recognise the call by; may be empty
	// Result is "ok" when the effect took place, "noop" when the wanted state
	// was there already, "failed: REASON" when it was refused or failed and
	// nothing changed.
	Result string `json:"result"`
	// Detail says more in words, such as where a VM went.
	Detail string `json:"detail,omitempty"`
}

// Results that Entry.Result starts with.
const (
	ResultOK     = "ok"
	ResultNoop   = "noop"
	resultFailed = "failed: "
)

// OK tells whether the effect took place.
func (e Entry) OK() bool { return e.Result == ResultOK }

// Failed tells whether the effect was refused or failed.
func (e Entry) Failed() bool { return strings.HasPrefix(e.Result, resultFailed) }

// ledger appends entries to a file, a JSON object a line.
type ledger struct {
	mu   sync.Mutex // guards file and err
	file *os.File
	err  error
}

func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return &ledger{file: f}, nil
}

// add writes one entry. An entry is written before the caller learns the
// outcome, so the ledger never misses an effect that somebody saw.
func (l *ledger) add(e Entry) {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("write the ledger: %w", err)
	}
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Close(); l.err == nil {
		l.err = err
	}
	return l.err
}

// ReadLedger reads a ledger file. A last line that is still being written is left out.
func ReadLedger(path string) ([]Entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if i := bytes.LastIndexByte(data, '\n'); i >= 0 {
		data = data[:i+1]
	} else {
		data = nil
	}
	var out []Entry
	scan := bufio.NewScanner(bytes.NewReader(data))
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		var e Entry
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("ledger %s line %d: %w", path, n, err)
		}
		out = append(out, e)
	}
	return out, scan.Err()
}
