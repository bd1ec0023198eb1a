package catalog

import "strings"

// Action is what a policy can do [4.2].
type Action struct {
	Slug  string // such as set-status-failed
	Group string // heading that it stands under
	Text  string
	Guard string // when it is not carried out; may be empty
}

func loadActions() []Action {
	var out []Action
	for _, r := range records("actions.csv") {
		out = append(out, Action{r["slug"], r["group"], r["text"], r["guard"]})
	}
	return out
}

// ActionBySlug finds a policy action.
func ActionBySlug(slug string) (Action, bool) {
	for _, a := range actions {
		if a.Slug == slug {
			return a, true
		}
	}
	return Action{}, false
}

// ActionSlugs are the slugs of all policy actions, in the manual's order.
func ActionSlugs() []string {
	var out []string
	for _, a := range actions {
		out = append(out, a.Slug)
	}
	return out
}

// Sequence is one of the 23 main action sequences [2.3].
type Sequence struct {
	Name     string // such as MoveMachine
	Text     string
	Physical bool // applies to physical machines
	Virtual  bool // applies to VMs
}

func loadSequences() []Sequence {
	var out []Sequence
	for _, r := range records("sequences.csv") {
		out = append(out, Sequence{r["name"], r["text"], r["physical"] == "yes", r["virtual"] == "yes"})
	}
	return out
}

// Sequences are the main action sequences, in the manual's order.
func Sequences() []Sequence { return append([]Sequence(nil), sequences...) }

// Policy is a standard policy [4.3].
type Policy struct {
	Name, Description string
	Rules             []Rule
}

// Rule is one rule of a standard policy.
type Rule struct {
	Name, Notifier, Selector string
	Actions                  []string
	Note                     string
}

var policyTexts = map[string]string{
	"standard":               "Standard policy for physical machines and VMs",
	"standard-vms":           "Standard policy for VM servers",
	"standard-vms-powersave": "Standard policy for VM servers, with power saving",
}

func loadPolicies() []Policy {
	var out []Policy
	for _, r := range records("policies.csv") {
		if len(out) == 0 || out[len(out)-1].Name != r["policy"] {
			out = append(out, Policy{Name: r["policy"], Description: policyTexts[r["policy"]]})
		}
		p := &out[len(out)-1]
		p.Rules = append(p.Rules, Rule{
			Name: r["rule"], Notifier: r["notifier"], Selector: r["selector"], Actions: strings.Split(r["actions"], ";"), Note: r["note"],
		})
	}
	return out
}

// Policies are the three standard policies [4.3].
func Policies() []Policy { return append([]Policy(nil), policies...) }

// Entry is an entry of the event log [7.1].
type Entry struct {
	Source    string // PVM, SystemMonitorEvent or VM
	ID        string // such as 2062
	Severity  string // info | warning | error
	Operation string // slug, such as move-machine
	Phase     string // started | completed | failed | cancelled | other
	Text      string
	Remedy    string // what to do; empty: nothing
}

func loadEntries() []Entry {
	var out []Entry
	for _, r := range records("event_log.csv") {
		out = append(out, Entry{r["source"], r["event_id"], r["severity"], r["operation"], r["phase"], r["text"], r["remedy"]})
	}
	return out
}

// LogEntry finds the event-log entry for a phase of an operation.
func LogEntry(operation, phase string) (Entry, bool) {
	for _, e := range entries {
		if e.Operation == operation && e.Phase == phase {
			return e, true
		}
	}
	return Entry{}, false
}

// Entries are all entries of the event log, in the manual's order.
func Entries() []Entry { return append([]Entry(nil), entries...) }
