package performance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm/schema"
)

// Objects of UCD-SNMP-MIB: CPU in ticks since the start, memory in KiB, and the
// disks that the agent's configuration names.
const (
	ucd           = ".1.3.6.1.4.1.2021"
	ssCPURawUser  = ucd + ".11.50.0"
	ssCPURawNice  = ucd + ".11.51.0"
	ssCPURawSys   = ucd + ".11.52.0" // with interrupts and the kernel's own
	ssCPURawIdle  = ucd + ".11.53.0"
	ssCPURawWait  = ucd + ".11.54.0"
	ssCPURawSteal = ucd + ".11.64.0"
	memTotalReal  = ucd + ".4.5.0"
	memAvailReal  = ucd + ".4.6.0"
	memBuffer     = ucd + ".4.14.0"
	memCached     = ucd + ".4.15.0"
	memSysAvail   = ucd + ".4.27.0" // newer agents: what programs can have without swapping
	dskPath       = ucd + ".9.1.2"
	dskPercent    = ucd + ".9.1.9"
)

// Objects of HOST-RESOURCES-MIB (RFC 2790).
const (
	hrProcessorLoad = ".1.3.6.1.2.1.25.3.3.1.2" // of the last minute, percent, by processor
	hrStorageType   = ".1.3.6.1.2.1.25.2.3.1.2"
	hrStorageDescr  = ".1.3.6.1.2.1.25.2.3.1.3"
	hrStorageSize   = ".1.3.6.1.2.1.25.2.3.1.5"
	hrStorageUsed   = ".1.3.6.1.2.1.25.2.3.1.6"
	hrStorageRAM    = ".1.3.6.1.2.1.25.2.1.2"
	hrStorageFixed  = ".1.3.6.1.2.1.25.2.1.4"
)

const (
	// snmpTry is how long one request waits for its answer, snmpTries how often it is sent.
	snmpTry   = 2 * time.Second
	snmpTries = 2
	// maxRows bounds the rows of a table: a broken agent may never end one.
	maxRows = 2048
)

// Sampler looks at a machine once. The deadline of ctx bounds it. before is what
// the look before left, nil at first.
type Sampler interface {
	Sample(ctx context.Context, t Target, before *Counters) Reading
}

// Counters are the CPU's ticks since its start.
type Counters struct{ ticks map[string]uint64 }

// Agent asks SNMP agents (v2c): UCD-SNMP-MIB where there is one, which says more,
// and HOST-RESOURCES-MIB.
type Agent struct{}

// Sample implements Sampler.
func (Agent) Sample(ctx context.Context, t Target, before *Counters) Reading {
	a := &look{client: &gosnmp.GoSNMP{
		Target: t.Address, Port: uint16(t.Port), Community: t.Community, Version: gosnmp.Version2c, Transport: "udp",
		Timeout: snmpTry, Retries: snmpTries - 1, Context: ctx, MaxOids: gosnmp.MaxOids, MaxRepetitions: 24,
	}}
	if err := a.client.Connect(); err != nil {
		a.bad(BadSilent, "%s: %v", t.Address, err)
		return a.Reading
	}
	defer func() { _ = a.client.Conn.Close() }()
	got, err := a.get(ssCPURawUser, ssCPURawNice, ssCPURawSys, ssCPURawIdle, ssCPURawWait, ssCPURawSteal, memTotalReal, memAvailReal, memBuffer, memCached, memSysAvail)
	if err != nil {
		a.bad(BadSilent, "%s: %v", t.Address, err)
		return a.Reading
	}
	a.cpu(got, before)
	a.memory(got)
	a.disk()
	if a.failed != nil {
		a.bad(BadSilent, "%s: %v", t.Address, a.failed)
	}
	return a.Reading
}

// look is one look at an agent.
type look struct {
	Reading
	client *gosnmp.GoSNMP
	failed error // a request had no answer: the rest isn't asked
	stored []storage
	walked bool
}

// get reads objects; those that the agent hasn't are left out.
func (a *look) get(oids ...string) (map[string]int64, error) {
	p, err := a.client.Get(oids)
	if err != nil {
		return nil, err
	}
	if p.Error != gosnmp.NoError {
		return nil, fmt.Errorf("the agent answers %s", p.Error)
	}
	out := map[string]int64{}
	for _, v := range p.Variables {
		if n, ok := number(v); ok {
			out[v.Name] = n
		}
	}
	return out, nil
}

// number is the value of an object, if it is one that fits.
func number(v gosnmp.SnmpPDU) (int64, bool) {
	switch v.Type {
	case gosnmp.Integer, gosnmp.Counter32, gosnmp.Counter64, gosnmp.Gauge32, gosnmp.Uinteger32, gosnmp.TimeTicks:
		n := gosnmp.ToBigInt(v.Value)
		return n.Int64(), n.IsInt64()
	}
	return 0, false
}

// walk reads a column of a table, by index.
func (a *look) walk(oid string) map[string]gosnmp.SnmpPDU {
	out := map[string]gosnmp.SnmpPDU{}
	if a.failed != nil {
		return out
	}
	a.failed = a.client.BulkWalk(oid, func(v gosnmp.SnmpPDU) error {
		if len(out) == maxRows {
			return errors.New("a table has no end")
		}
		out[strings.TrimPrefix(v.Name, oid)] = v
		return nil
	})
	return out
}

// cpu measures the CPU between two looks, or takes the agent's own mean of the
// last minute where it has no ticks.
func (a *look) cpu(got map[string]int64, before *Counters) {
	now := &Counters{ticks: map[string]uint64{}}
	for _, oid := range []string{ssCPURawUser, ssCPURawNice, ssCPURawSys, ssCPURawIdle, ssCPURawWait, ssCPURawSteal} {
		if n, ok := got[oid]; ok && n >= 0 {
			now.ticks[oid] = uint64(n)
		}
	}
	if now.ticks[ssCPURawIdle] == 0 && now.ticks[ssCPURawUser] == 0 { // none, or the agent can't read them
		a.processors()
		return
	}
	a.Counters = now
	if before == nil {
		return
	}
	total, idle := uint64(0), uint64(0)
	for oid, n := range now.ticks {
		old, ok := before.ticks[oid]
		if !ok {
			return // the agent has changed: the next look has a start
		}
		if n < old {
			a.bad(BadCounter, "%s: a counter went from %d back to %d", schema.MetricCPU, old, n)
			return
		}
		total += n - old
		if oid == ssCPURawIdle || oid == ssCPURawWait {
			idle += n - old
		}
	}
	if total > 0 { // an agent may keep its counters for some seconds
		a.share(schema.MetricCPU, float64(total-idle), float64(total), "")
	}
}

// processors takes the mean of the processors' loads.
func (a *look) processors() {
	sum, n := int64(0), int64(0)
	for _, v := range a.walk(hrProcessorLoad) {
		p, ok := number(v)
		if !ok || p < 0 || p > 100 {
			a.bad(BadNonsense, "%s: a processor's load is %v", schema.MetricCPU, v.Value)
			return
		}
		sum, n = sum+p, n+1
	}
	switch {
	case n > 0:
		a.share(schema.MetricCPU, float64(sum), float64(100*n), "")
	case a.failed == nil:
		a.bad(BadMissing, "%s: the agent has neither ssCpuRawIdle nor hrProcessorLoad", schema.MetricCPU)
	}
}

// memory takes what programs use: what the system keeps of files can be had at once.
func (a *look) memory(got map[string]int64) {
	total, ok := got[memTotalReal]
	free, has := got[memSysAvail]
	if !has || free == 0 {
		if free, has = got[memAvailReal]; has {
			free += got[memBuffer] + got[memCached]
		}
	}
	if ok && has {
		a.share(schema.MetricMemory, float64(total-free), float64(total), "")
		return
	}
	for _, s := range a.storage() {
		if s.kind == hrStorageRAM {
			a.share(schema.MetricMemory, float64(s.used), float64(s.size), "")
			return
		}
	}
	if a.failed == nil {
		a.bad(BadMissing, "%s: the agent has neither memTotalReal nor RAM in hrStorageTable", schema.MetricMemory)
	}
}

// disk takes the fullest of the disks that the agent's configuration names,
// else of all fixed ones.
func (a *look) disk() {
	best := Value{Percent: -1}
	fuller := func(percent float64, of string) {
		if percent > best.Percent || percent == best.Percent && of < best.Of {
			best = Value{percent, of}
		}
	}
	n := len(a.Bad)
	percents := a.walk(dskPercent)
	if len(percents) > 0 {
		paths := a.walk(dskPath)
		for index, v := range percents {
			p, ok := number(v)
			if !ok || p < 0 || p > 100 {
				a.bad(BadNonsense, "%s: %s is %v percent full", schema.MetricDisk, text(paths[index]), v.Value)
				continue
			}
			fuller(float64(p), text(paths[index]))
		}
	} else {
		for _, s := range a.storage() {
			if s.kind != hrStorageFixed || s.size == 0 || apparent(s.name) {
				continue
			}
			if s.size < 0 || s.used < 0 || s.used > s.size {
				a.bad(BadNonsense, "%s: %d of %d units of %s are in use", schema.MetricDisk, s.used, s.size, s.name)
				continue
			}
			fuller(100*float64(s.used)/float64(s.size), s.name)
		}
	}
	switch {
	case best.Percent >= 0:
		a.share(schema.MetricDisk, best.Percent, 100, best.Of)
	case a.failed == nil && len(a.Bad) == n:
		a.bad(BadMissing, "%s: the agent has neither dskTable nor fixed disks in hrStorageTable", schema.MetricDisk)
	}
}

// apparent tells whether a file system is none of a disk: agents count those of
// the kernel and images that are full by nature among fixed disks.
func apparent(path string) bool {
	for _, p := range []string{"/proc", "/sys", "/dev", "/run", "/snap", "/var/lib/snapd"} {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// storage is a row of hrStorageTable, in its own units.
type storage struct {
	kind, name string
	size, used int64
}

// storage reads hrStorageTable, once a look.
func (a *look) storage() []storage {
	if a.walked {
		return a.stored
	}
	a.walked = true
	kinds := a.walk(hrStorageType)
	if len(kinds) == 0 {
		return nil
	}
	names, sizes, used := a.walk(hrStorageDescr), a.walk(hrStorageSize), a.walk(hrStorageUsed)
	for index, kind := range kinds {
		s := storage{name: text(names[index])}
		s.kind, _ = kind.Value.(string)
		size, ok := number(sizes[index])
		inUse, has := number(used[index])
		if ok && has {
			s.size, s.used = size, inUse
			a.stored = append(a.stored, s)
		}
	}
	return a.stored
}

// maxText bounds a name that an agent gives, bytes.
const maxText = 128

func text(v gosnmp.SnmpPDU) string {
	b, _ := v.Value.([]byte)
	return strings.ToValidUTF8(string(b[:min(len(b), maxText)]), "?")
}
