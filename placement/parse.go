package placement

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds a line of the text: a rule may name 100,000 VMs.
const maxLine = 16 << 20

// Parse reads the text format that Print writes and validates the problem.
// Errors are *Error with the line. Dimensions must come before the servers and
// VMs that use them; everything else may come in any order.
func Parse(r io.Reader) (*Problem, error) {
	ps := parser{p: &Problem{}, lineOf: map[string]int{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	for sc.Scan() {
		ps.line++
		if err := ps.statement(sc.Text()); err != nil {
			err.Line = ps.line
			return nil, err
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, &Error{Kind: KindInvalid, Line: ps.line + 1, Msg: fmt.Sprintf("is longer than %d bytes", maxLine)}
		}
		return nil, err
	}
	if err := ps.p.Validate(); err != nil {
		e := err.(*Error)
		e.Line = ps.lineOf[e.Object]
		return nil, e
	}
	return ps.p, nil
}

type parser struct {
	p      *Problem
	line   int
	lineOf map[string]int // of an object as errors name it
}

func (ps *parser) statement(line string) *Error {
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	switch words[0].text {
	case "problem":
		if len(words) != 2 {
			return invalid("", "problem takes one name")
		}
		ps.p.Name = words[1].name
		return nil
	case "setting":
		ps.note("settings")
		return ps.setting(words[1:])
	case "dimension":
		return ps.named(words, ps.dimension)
	case "model":
		return ps.named(words, ps.model)
	case "server":
		return ps.named(words, ps.server)
	case "vm":
		return ps.named(words, ps.vm)
	case "rule":
		if len(words) < 3 {
			return invalid("", "rule takes a kind, a name, and vms=...")
		}
		return ps.rule(words)
	}
	return &Error{Kind: KindInvalid, Msg: fmt.Sprintf("%q is not a keyword", words[0].text), Hint: "lines begin with problem, dimension, setting, model, server, vm or rule"}
}

// note remembers the line of an object, the first one if it comes twice.
func (ps *parser) note(object string) {
	ps.lineOf[object] = ps.line
}

func (ps *parser) named(words []token, add func(name string, attrs []token) *Error) *Error {
	kind := words[0].text
	if len(words) < 2 || words[1].key != "" || len(words[1].items) != 1 {
		return invalid("", "%s takes a name first", kind)
	}
	name := words[1].name
	if name == "" {
		return invalid(kind, "the name is empty")
	}
	object := fmt.Sprintf("%s %q", kind, name)
	ps.note(object)
	err := add(name, words[2:])
	if err != nil && err.Object == "" {
		err.Object = object
	}
	return err
}

func (ps *parser) dimension(name string, attrs []token) *Error {
	d := Dimension{Name: name}
	if len(ps.p.Servers) > 0 || len(ps.p.VMs) > 0 {
		return invalid("", "must come before the servers and VMs")
	}
	for _, a := range attrs {
		if a.key != "" || a.text != "measured" {
			return unknown(a)
		}
		d.Measured = true
	}
	ps.p.Dimensions = append(ps.p.Dimensions, d)
	return nil
}

func (ps *parser) setting(attrs []token) *Error {
	s := &ps.p.Settings
	return each(attrs, func(a token) *Error {
		switch a.keyOrFlag() {
		case "seed":
			n, err := strconv.ParseUint(a.name, 10, 64)
			if err != nil {
				return invalid("settings", "seed %q is not a whole number", a.name)
			}
			s.Seed = n
			return nil
		case "reserve-failures":
			return a.int(&s.ReserveFailures)
		case "move-budget":
			return a.int(&s.MoveBudget)
		case "hold":
			return a.duration(&s.Hold)
		case "min-gain":
			return a.int64(&s.MinGain)
		case "cold-move":
			return a.flag(&s.ColdMove)
		}
		return unknown(a)
	})
}

func (ps *parser) model(name string, attrs []token) *Error {
	m := ServerModel{Name: name}
	err := each(attrs, func(a token) *Error {
		switch a.keyOrFlag() {
		case "placement":
			return a.flag(&m.Placement)
		case "low":
			return a.int(&m.Low)
		case "high":
			return a.int(&m.High)
		case "target":
			from, to, ok := strings.Cut(a.name, "..")
			lo, hi := a, a
			lo.name, hi.name = from, to
			if !ok {
				return invalid("", "target %q is not of the form 40..70", a.name)
			}
			return cmp.Or(lo.int(&m.TargetLow), hi.int(&m.TargetHigh))
		}
		return unknown(a)
	})
	ps.p.Models = append(ps.p.Models, m)
	return err
}

func (ps *parser) dimensionIndex(key string) int {
	for d := range ps.p.Dimensions {
		if ps.p.Dimensions[d].Name == key {
			return d
		}
	}
	return -1
}

func (ps *parser) server(name string, attrs []token) *Error {
	s := Server{Name: name, State: ServerOn, Limits: make([]Limit, len(ps.p.Dimensions))}
	err := each(attrs, func(a token) *Error {
		switch a.keyOrFlag() {
		case "capacity":
			return a.int64(&s.Capacity)
		case "model":
			return a.string(&s.Model)
		case "dc":
			return a.string(&s.Datacenter)
		case "rack":
			return a.string(&s.Rack)
		case "state":
			return a.string((*string)(&s.State))
		case "maintenance":
			return a.flag(&s.Maintenance)
		case "startable":
			return a.flag(&s.Startable)
		case "keep-on":
			return a.flag(&s.KeepOn)
		case "datastores":
			return a.list(&s.Datastores)
		case "networks":
			return a.list(&s.Networks)
		case "start-time":
			return a.duration(&s.StartTime)
		case "start-cost":
			return a.int64(&s.StartCost)
		case "changed":
			return a.duration(&s.SinceChange)
		}
		if d := ps.dimensionIndex(a.key); d >= 0 {
			return a.limit(&s.Limits[d])
		}
		return unknown(a)
	})
	ps.p.Servers = append(ps.p.Servers, s)
	return err
}

func (ps *parser) vm(name string, attrs []token) *Error {
	m := VM{Name: name, Power: PowerOn, Demand: make([]int64, len(ps.p.Dimensions))}
	err := each(attrs, func(a token) *Error {
		switch a.keyOrFlag() {
		case "on":
			return a.string(&m.Server)
		case "cost":
			return a.int64(&m.Cost)
		case "power":
			return a.string((*string)(&m.Power))
		case "optimal-start":
			return a.flag(&m.OptimalStart)
		case "models":
			return a.list(&m.ServerModels)
		case "dc":
			return a.string(&m.Datacenter)
		case "datastores":
			return a.list(&m.Datastores)
		case "local-disk":
			return a.flag(&m.LocalDisk)
		case "networks":
			return a.list(&m.Networks)
		case "priority":
			return a.int(&m.Priority)
		case "move-cost":
			return a.int64(&m.MoveCost)
		case "moved":
			return a.duration(&m.SinceMove)
		}
		if d := ps.dimensionIndex(a.key); d >= 0 {
			return a.int64(&m.Demand[d])
		}
		return unknown(a)
	})
	ps.p.VMs = append(ps.p.VMs, m)
	return err
}

func (ps *parser) rule(words []token) *Error {
	r := Rule{Kind: RuleKind(words[1].name), Name: words[2].name}
	object := fmt.Sprintf("rule %q", r.Name)
	ps.note(object)
	err := each(words[3:], func(a token) *Error {
		switch a.keyOrFlag() {
		case "max":
			return a.int(&r.Max)
		case "vms":
			return a.list(&r.VMs)
		case "servers":
			return a.list(&r.Servers)
		}
		return unknown(a)
	})
	if err != nil && err.Object == "" {
		err.Object = object
	}
	ps.p.Rules = append(ps.p.Rules, r)
	return err
}

// each calls f for each attribute and refuses one that comes twice.
func each(attrs []token, f func(token) *Error) *Error {
	for i, a := range attrs {
		for _, b := range attrs[:i] {
			if a.keyOrFlag() == b.keyOrFlag() {
				return invalid("", "%s is given twice", a.keyOrFlag())
			}
		}
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

func unknown(a token) *Error {
	return invalid("", "%q is not an attribute here", a.keyOrFlag())
}

func (t token) keyOrFlag() string {
	if t.key != "" {
		return t.key
	}
	return t.text
}

func (t token) string(to *string) *Error {
	if t.key == "" || t.name == "" || len(t.items) != 1 {
		return invalid("", "%s needs one value", t.keyOrFlag())
	}
	*to = t.name
	return nil
}

func (t token) flag(to *bool) *Error {
	if t.key != "" {
		return invalid("", "%s takes no value", t.key)
	}
	*to = true
	return nil
}

func (t token) list(to *[]string) *Error {
	if t.key == "" || len(t.items) == 0 {
		return invalid("", "%s needs names parted by commas", t.keyOrFlag())
	}
	*to = t.items
	return nil
}

func (t token) int64(to *int64) *Error {
	n, err := strconv.ParseInt(t.name, 10, 64)
	if err != nil || len(t.items) != 1 {
		if errors.Is(err, strconv.ErrRange) {
			return invalid("", "%s %s is too large", t.keyOrFlag(), t.name)
		}
		return invalid("", "%s %q is not a whole number", t.keyOrFlag(), t.name)
	}
	*to = n
	return nil
}

func (t token) int(to *int) *Error {
	var n int64
	if err := t.int64(&n); err != nil {
		return err
	}
	if n != int64(int32(n)) {
		return invalid("", "%s %d is too large", t.keyOrFlag(), n)
	}
	*to = int(n)
	return nil
}

func (t token) duration(to *time.Duration) *Error {
	d, err := time.ParseDuration(t.name)
	if err != nil || len(t.items) != 1 {
		return invalid("", "%s %q is not a duration such as 90s or 1h30m", t.keyOrFlag(), t.name)
	}
	*to = d
	return nil
}

func (t token) limit(to *Limit) *Error {
	parts := strings.Split(t.name, ":")
	if len(parts) > 3 {
		return invalid("", "%s %q is not of the form LIMIT:OWN:SIZE", t.key, t.name)
	}
	for i, field := range []*int64{&to.Limit, &to.Own, &to.Size} {
		if i < len(parts) {
			part := t
			part.name = parts[i]
			if err := part.int64(field); err != nil {
				return err
			}
		}
	}
	return nil
}
