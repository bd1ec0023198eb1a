package fsm

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// This file and those named select_*.go choose machines, host settings and
// models for the reconfigurations [1.10, 1.11]. The choices are pure functions
// of the rows, made in the batch that starts a job, so that no two jobs choose
// the same one. Each says why it chose, or for each candidate why not.

// Choice is what a machine is to become.
type Choice struct {
	Machine *schema.Machine
	Host    *schema.Host  // host setting that it is to run under; nil from PickSubstitute
	Model   *schema.Model // model that it is to run as
	Common  bool          // it comes from the common pool
	Why     string        // why it was chosen, a sentence
}

// Busy tells of a machine whether a job that isn't over works on it, or is to;
// job itself doesn't count. It looks at the rows once.
func Busy(r Reader, job string) func(machine string) bool {
	busy := map[string]bool{}
	for _, j := range LiveJobs(r) {
		if j.Id == job {
			continue
		}
		for _, m := range j.Targets {
			busy[m] = true
		}
	}
	prefix := MachineLock("")
	for l := range Locks.All(r) {
		if name, ok := strings.CutPrefix(l.Object, prefix); ok && l.Job != job {
			busy[name] = true
		}
	}
	return func(machine string) bool { return busy[machine] }
}

// picker is one selection. One that serves a count keeps what it has given
// away, so that the next choice is another.
type picker struct {
	r     Reader
	not   func(machine string) bool
	given map[string]bool // machines by name, host settings by group/name
}

func newPicker(r Reader, not func(machine string) bool) *picker {
	if not == nil {
		not = func(string) bool { return false }
	}
	return &picker{r: r, not: not, given: map[string]bool{}}
}

// give keeps a choice from being made again.
func (p *picker) give(c Choice) {
	p.given["machine "+c.Machine.Name] = true
	if c.Host != nil {
		p.given["host "+GroupKey(c.Host.Group, c.Host.Name)] = true
	}
}

// unusable says why a machine can't be put into operation, "" when it can be.
// Hardware of unknown state counts as normal, since no fault of it is known:
// nothing tells the state of a machine that has never run, so that otherwise
// no new machine could ever be activated. named is true for a machine that the
// operator named: a job that works on it is waited for.
func (p *picker) unusable(m *schema.Machine, named bool) string {
	switch {
	case !m.Managed:
		return "it isn't managed"
	case m.Group != "":
		return fmt.Sprintf("it runs in group %s as host %s", m.Group, m.Host)
	case m.Template:
		return "it is a template"
	}
	return p.unfit(m, named)
}

// unfit says why a machine can't go into operation anywhere, wherever it is now.
func (p *picker) unfit(m *schema.Machine, named bool) string {
	switch {
	case p.given["machine "+m.Name]:
		return "it is taken by another of the machines asked for"
	case !named && p.not(m.Name):
		return "a job works on it"
	case !named && m.Status == schema.StatusInUse:
		return cmp.Or(m.StatusReason, "a job works on it")
	case m.Status == schema.StatusAbnormal:
		return "its status is abnormal: " + cmp.Or(m.StatusReason, "look at it, then set its status to ready")
	case m.HardwareStatus == schema.HardwareDegraded, m.HardwareStatus == schema.HardwareFailed:
		return "its hardware is " + m.HardwareStatus
	case m.Maintenance:
		return "it is in maintenance"
	case m.Gone:
		return "subsystem " + m.Subsystem + " doesn't report it any more"
	case m.Kind == schema.MachineVM && m.Subsystem != "" && !m.Connected:
		return "subsystem " + m.Subsystem + " doesn't reach it"
	case m.Kind == schema.MachinePhysical && m.Bmc == nil:
		return "it has no BMC, so it can't be started"
	}
	return ""
}

// fittingModel is the first of the models, in their order, that a machine is of.
func fittingModel(models []*schema.Model, m *schema.Machine) *schema.Model {
	for _, model := range models {
		if modelMismatch(model, m) == "" {
			return model
		}
	}
	return nil
}

// modelMismatch says why a machine isn't one of a model, "" when it is.
func modelMismatch(model *schema.Model, m *schema.Machine) string {
	switch {
	case m.Kind != model.Kind:
		return fmt.Sprintf("it is a %s, model %s is for %s", m.Kind, model.Name, model.Kind)
	case model.ModelName != "" && m.ModelName != model.ModelName:
		return fmt.Sprintf("its model name is %s, model %s is for %q", quoteOrNone(m.ModelName), model.Name, model.ModelName)
	}
	return ""
}

func quoteOrNone(s string) string {
	if s == "" {
		return "none"
	}
	return fmt.Sprintf("%q", s)
}

// modelsOf are the models that a path allows a machine to become, highest
// priority first.
func modelsOf(r Reader, group, model string) []*schema.Model {
	return slices.DeleteFunc(GroupModels(r, group), func(m *schema.Model) bool { return model != "" && m.Name != model })
}

// rank puts the best of the usable machines first: one whose hardware is known
// to be normal, then one that waits in fewer pools, since another group misses
// it least, then by name.
func rank(machines []*schema.Machine) {
	unknown := func(m *schema.Machine) int {
		if m.HardwareStatus == schema.HardwareNormal {
			return 0
		}
		return 1
	}
	slices.SortFunc(machines, func(a, b *schema.Machine) int {
		return cmp.Or(cmp.Compare(unknown(a), unknown(b)), cmp.Compare(len(a.PoolGroups), len(b.PoolGroups)), cmp.Compare(a.Name, b.Name))
	})
}

// free is the host setting of a group under which a machine can be put into
// operation: the one of that name or address, or the first by name.
func (p *picker) free(group, netinfo string) (*schema.Host, *rejections) {
	no := &rejections{}
	addr, _ := netip.ParseAddr(netinfo)
	for h := range Hosts.By(p.r, ByGroup, group) {
		if netinfo != "" && h.Name != netinfo && !hasAddress(h, addr.Unmap()) {
			continue
		}
		if why := p.taken(h); why != "" {
			no.add(h.Name, why)
			continue
		}
		return h, nil
	}
	return nil, no
}

// taken says why a host setting isn't free, "" when it is.
func (p *picker) taken(h *schema.Host) string {
	key := GroupKey(h.Group, h.Name)
	if h.Machine != "" {
		return "machine " + h.Machine + " runs under it"
	}
	if p.given["host "+key] {
		return "it is taken by another of the machines asked for"
	}
	for l := range Locks.By(p.r, ByObject, "host/"+key) {
		return "job " + l.Job + " works with it"
	}
	return ""
}

// rejections are candidates that were looked at and not chosen.
type rejections struct{ list []rejection }

type rejection struct{ name, why string }

func (l *rejections) add(name, why string) {
	if !slices.Contains(l.list, rejection{name, why}) {
		l.list = append(l.list, rejection{name, why})
	}
}

// maxRejections bounds the text that names the candidates, bytes: it must get
// through the API whole.
const maxRejections = 1600

// String names every candidate with its reason, those of one reason together.
func (l *rejections) String() string {
	var order []string
	names := map[string][]string{}
	for _, c := range l.list {
		if names[c.why] == nil {
			order = append(order, c.why)
		}
		names[c.why] = append(names[c.why], c.name)
	}
	var out []string
	left, size := len(l.list), 0
	for _, why := range order {
		s := joinSome(names[why]) + ": " + why
		if size += len(s) + 2; size > maxRejections {
			out = append(out, fmt.Sprintf("and %d more candidates", left))
			break
		}
		left -= len(names[why])
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// joinSome names as many as fit into an error.
func joinSome(names []string) string {
	for n, size := 0, 0; n < len(names); n++ {
		if size += len(names[n]) + 2; size > maxRejections/2 {
			return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
		}
	}
	return strings.Join(names, ", ")
}

// because is " (candidates)", or "" without any.
func (l *rejections) because() string {
	if len(l.list) == 0 {
		return ""
	}
	return " (" + l.String() + ")"
}
