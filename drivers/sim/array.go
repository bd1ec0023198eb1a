package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ArraySpec describes a disk array. Its management tool is `pvmd sim array`.
type ArraySpec struct {
	Name    string       `yaml:"name"`
	Volumes []VolumeSpec `yaml:"volumes"`
}

// VolumeSpec describes a volume of an array.
type VolumeSpec struct {
	Name     string   `yaml:"name"`
	Shared   bool     `yaml:"shared"`   // several machines may use it at once
	Machines []string `yaml:"machines"` // connected to it at the start
}

// Initiator is the iSCSI name of a machine.
func Initiator(machine string) string { return "iqn.2026-01.example.yagura:" + machine }

// checkArrays checks the arrays of a world.
func (w *World) checkArrays(l *layout, claim func(kind, name string) error) error {
	known := map[string]bool{}
	for _, m := range slices.Concat(l.servers, l.machines) {
		known[m.Name] = true
	}
	for _, spec := range w.Arrays {
		if _, err := expandName("array", spec.Name, 1); err != nil {
			return err
		}
		if err := claim("array", spec.Name); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, v := range spec.Volumes {
			if err := checkWord(v.Name, seen, v.Name); err != nil {
				return fmt.Errorf("array %q: volume: %w", spec.Name, err)
			}
			if len(v.Machines) > 1 && !v.Shared {
				return fmt.Errorf("array %q: volume %q: it isn't shared and has %d machines", spec.Name, v.Name, len(v.Machines))
			}
			for _, m := range v.Machines {
				if !known[m] {
					return fmt.Errorf("array %q: volume %q: machine %q is not of this world", spec.Name, v.Name, m)
				}
			}
		}
	}
	return nil
}

// diskArray is an array: which initiator may use which volume.
type diskArray struct {
	sim  *Sim
	name string

	mu      sync.Mutex // guards what follows; Sim.mu comes before it
	volumes []*arrayVolume
	mute    bool // the array doesn't answer its tool
}

type arrayVolume struct {
	name       string
	shared     bool
	initiators []string
}

func (s *Sim) buildArrays() {
	for _, spec := range s.world.Arrays {
		a := &diskArray{sim: s, name: spec.Name}
		for _, v := range spec.Volumes {
			x := &arrayVolume{name: v.Name, shared: v.Shared}
			for _, m := range v.Machines {
				x.initiators = append(x.initiators, Initiator(m))
			}
			a.volumes = append(a.volumes, x)
		}
		s.arrays = append(s.arrays, a)
	}
}

// silence makes the array stop answering, or answer again.
func (a *diskArray) silence(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute = on
}

// array finds an array; empty stands for the only one.
func (s *Sim) array(name string) (*diskArray, error) {
	var names []string
	for _, a := range s.arrays {
		if a.name == name || (name == "" && len(s.arrays) == 1) {
			return a, nil
		}
		names = append(names, a.name)
	}
	return nil, &UsageError{Msg: fmt.Sprintf("no array is named %q; there are: %s", name, strings.Join(names, ", "))}
}

// answers locks the array and finds a volume; an empty name finds none. The
// caller unlocks Sim.mu and the array unless there is an error.
func (a *diskArray) answers(volume string) (*arrayVolume, error) {
	a.sim.mu.RLock()
	a.mu.Lock()
	i := slices.IndexFunc(a.volumes, func(v *arrayVolume) bool { return v.name == volume })
	var err error
	switch {
	case a.mute:
		err = fmt.Errorf("%s doesn't answer", a.name)
	case volume != "" && i < 0:
		err = &UsageError{Msg: fmt.Sprintf("%s has no volume %q", a.name, volume)}
	case i >= 0:
		return a.volumes[i], nil
	default:
		return nil, nil
	}
	a.unlock()
	return nil, err
}

func (a *diskArray) unlock() {
	a.mu.Unlock()
	a.sim.mu.RUnlock()
}

// powered tells whether the machine of an initiator has power: it then has a
// session of each volume that it is connected to. The caller holds Sim.mu.
func (a *diskArray) powered(initiator string) bool {
	for name, m := range a.sim.machines {
		if Initiator(name) == initiator {
			return m.powered()
		}
	}
	return false
}

// ArrayList is what the array's tool prints: a line "volume NAME" for each
// volume, "connected VOLUME INITIATOR" and "session VOLUME INITIATOR".
func (s *Sim) ArrayList(name string) (string, error) {
	a, err := s.array(name)
	if err != nil {
		return "", err
	}
	if _, err := a.answers(""); err != nil {
		return "", err
	}
	defer a.unlock()
	var lines []string
	for _, v := range a.volumes {
		lines = append(lines, "volume "+v.name)
		for _, i := range v.initiators {
			lines = append(lines, "connected "+v.name+" "+i)
			if a.powered(i) {
				lines = append(lines, "session "+v.name+" "+i)
			}
		}
	}
	return strings.Join(lines, "\n"), nil
}

// ArrayConnect connects a volume to an initiator. Like a real array it doesn't
// ask who else uses the volume; the ledger tells when it shouldn't have been.
func (s *Sim) ArrayConnect(name, volume, initiator, token string) (string, error) {
	return s.mask(name, OpConnect, volume, initiator, token)
}

// ArrayDisconnect disconnects a volume from an initiator and cuts its session.
func (s *Sim) ArrayDisconnect(name, volume, initiator, token string) (string, error) {
	return s.mask(name, OpDisconnectVolume, volume, initiator, token)
}

func (s *Sim) mask(name string, op Op, volume, initiator, token string) (string, error) {
	a, err := s.array(name)
	if err != nil {
		return "", err
	}
	if !isWord(initiator) {
		return "", &UsageError{Msg: fmt.Sprintf("%q can't be an initiator", initiator)}
	}
	e := Entry{System: a.name, Op: op, Object: volume + " " + initiator, Token: token, Result: ResultOK}
	if s.rules.takeFailure(op) {
		e.Result = resultFailed + "put in by ctl"
		s.ledger.add(e)
		return "", fmt.Errorf("%s %s: failed, put in by ctl", op, e.Object)
	}
	if !pause(s.ctx, s.rules.delayOf(op)) {
		return "", s.ctx.Err()
	}
	v, err := a.answers(volume)
	if err != nil {
		return "", err
	}
	defer a.unlock()
	if is := slices.Contains(v.initiators, initiator); is == (op == OpConnect) {
		e.Result = ResultNoop
	} else if op == OpConnect {
		v.initiators = append(v.initiators, initiator)
		if !v.shared && len(v.initiators) > 1 {
			e.Detail = "VIOLATION: a volume that isn't shared is connected to " + strings.Join(v.initiators, " and ")
		}
	} else {
		v.initiators = slices.DeleteFunc(v.initiators, func(i string) bool { return i == initiator })
	}
	s.ledger.add(e)
	return fmt.Sprintf("%s %s: %s", op, e.Object, e.Result), nil
}

// ArrayStatus is the truth about an array.
type ArrayStatus struct {
	Name    string         `json:"name"`
	Answers bool           `json:"answers"`
	Volumes []VolumeStatus `json:"volumes"`
}

// VolumeStatus is a volume of an array.
type VolumeStatus struct {
	Name       string   `json:"name"`
	Shared     bool     `json:"shared"`
	Initiators []string `json:"initiators"` // that it is connected to
	Sessions   []string `json:"sessions"`   // initiators
}

// status is the truth. The caller holds Sim.mu.
func (a *diskArray) status() ArrayStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := ArrayStatus{Name: a.name, Answers: !a.mute, Volumes: []VolumeStatus{}}
	for _, v := range a.volumes {
		x := VolumeStatus{Name: v.name, Shared: v.shared, Initiators: slices.Clone(v.initiators), Sessions: []string{}}
		for _, i := range v.initiators {
			if a.powered(i) {
				x.Sessions = append(x.Sessions, i)
			}
		}
		st.Volumes = append(st.Volumes, x)
	}
	return st
}
