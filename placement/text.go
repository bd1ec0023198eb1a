package placement

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// reservedKeys are the attribute keys of the text format, which no dimension
// may take for a name.
var reservedKeys = map[string]bool{
	"model": true, "dc": true, "rack": true, "state": true, "maintenance": true, "startable": true, "keep-on": true, "capacity": true,
	"datastores": true, "networks": true, "start-time": true, "start-cost": true, "changed": true,
	"cost": true, "power": true, "on": true, "optimal-start": true, "models": true, "local-disk": true, "priority": true, "move-cost": true, "moved": true,
}

// Print writes the problem in the text format: one object a line, keyword
// first, then the name, then key=value attributes; attributes with their
// default are left out. Parse reads it back to an equal problem.
//
//	problem "night of the 5th"
//	dimension mem
//	dimension cpu measured
//	setting reserve-failures=1 hold=1h0m0s
//	model esx placement low=20 target=40..70 high=80
//	server esx01 capacity=200 mem=65536 cpu=16000 model=esx dc=DC1 datastores=shared01 networks=lan
//	vm web01 on=esx01 cost=10 mem=2048 cpu=350 optimal-start dc=DC1 datastores=shared01 networks=lan
//	rule apart web-pair vms=web01,web02
//
// A limit is LIMIT, LIMIT:OWN or LIMIT:OWN:SIZE. Names with other characters
// than letters, digits and -_.:/@+ are quoted as in Go. # starts a comment.
func Print(w io.Writer, p *Problem) error {
	b := bufio.NewWriter(w)
	if p.Name != "" {
		fmt.Fprintf(b, "problem %s\n", word(p.Name))
	}
	for _, d := range p.Dimensions {
		fmt.Fprintf(b, "dimension %s%s\n", d.Name, flag("measured", d.Measured))
	}
	if p.Settings != (Settings{}) {
		s := p.Settings
		fmt.Fprintf(b, "setting%s%s%s%s%s%s\n", num("seed", s.Seed), num("reserve-failures", s.ReserveFailures), num("move-budget", s.MoveBudget),
			dur("hold", s.Hold), num("min-gain", s.MinGain), flag("cold-move", s.ColdMove))
	}
	for _, m := range p.Models {
		fmt.Fprintf(b, "model %s%s low=%d target=%d..%d high=%d\n", word(m.Name), flag("placement", m.Placement), m.Low, m.TargetLow, m.TargetHigh, m.High)
	}
	for i := range p.Servers {
		printServer(b, p, &p.Servers[i])
	}
	for i := range p.VMs {
		printVM(b, p, &p.VMs[i])
	}
	for _, r := range p.Rules {
		fmt.Fprintf(b, "rule %s %s%s%s%s\n", r.Kind, word(r.Name), num("max", r.Max), list("vms", r.VMs), list("servers", r.Servers))
	}
	return b.Flush()
}

func printServer(b io.Writer, p *Problem, s *Server) {
	fmt.Fprintf(b, "server %s capacity=%d", word(s.Name), s.Capacity)
	for d, l := range s.Limits {
		fmt.Fprintf(b, " %s=%d", p.Dimensions[d].Name, l.Limit)
		if l.Own != 0 || l.Size != 0 {
			fmt.Fprintf(b, ":%d", l.Own)
		}
		if l.Size != 0 {
			fmt.Fprintf(b, ":%d", l.Size)
		}
	}
	fmt.Fprintf(b, "%s%s%s", str("model", s.Model), str("dc", s.Datacenter), str("rack", s.Rack))
	if s.State != ServerOn {
		fmt.Fprintf(b, " state=%s", s.State)
	}
	fmt.Fprintf(b, "%s%s%s%s%s%s%s%s\n", flag("maintenance", s.Maintenance), flag("startable", s.Startable), flag("keep-on", s.KeepOn),
		list("datastores", s.Datastores), list("networks", s.Networks), dur("start-time", s.StartTime), num("start-cost", s.StartCost), dur("changed", s.SinceChange))
}

func printVM(b io.Writer, p *Problem, m *VM) {
	fmt.Fprintf(b, "vm %s%s cost=%d", word(m.Name), str("on", m.Server), m.Cost)
	for d, n := range m.Demand {
		if n != 0 {
			fmt.Fprintf(b, " %s=%d", p.Dimensions[d].Name, n)
		}
	}
	if m.Power != PowerOn {
		fmt.Fprintf(b, " power=%s", m.Power)
	}
	fmt.Fprintf(b, "%s%s%s%s%s%s%s%s%s\n", flag("optimal-start", m.OptimalStart), list("models", m.ServerModels), str("dc", m.Datacenter),
		list("datastores", m.Datastores), flag("local-disk", m.LocalDisk), list("networks", m.Networks), num("priority", m.Priority),
		num("move-cost", m.MoveCost), dur("moved", m.SinceMove))
}

func num[T int | int64 | uint64](key string, n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" %s=%d", key, n)
}

func str(key, s string) string {
	if s == "" {
		return ""
	}
	return " " + key + "=" + word(s)
}

func dur(key string, d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " " + key + "=" + d.String()
}

func flag(key string, on bool) string {
	if !on {
		return ""
	}
	return " " + key
}

func list(key string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, s := range names {
		quoted[i] = word(s)
	}
	return " " + key + "=" + strings.Join(quoted, ",")
}

// word quotes a name if the reader could take it for something else.
func word(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@+", r)) {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
