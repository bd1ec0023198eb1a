package sim

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gosnmp/gosnmp"
)

// netSwitch is a switch and its SNMP agent (v2c).
type netSwitch struct {
	sim   *Sim
	spec  SwitchSpec
	conn  net.PacketConn
	start time.Time
	slots chan struct{} // held by requests that wait for a delay

	mu     sync.Mutex // guards what follows
	bridge *bridge
	mute   bool // the agent doesn't answer
}

// maxWaiting bounds the requests that wait for a delay; further ones get lost.
const maxWaiting = 64

func (s *Sim) startSwitches() error {
	for i, spec := range s.layout.switches {
		addr, err := switchAddress(s.cfg.SwitchAddr, i)
		if err != nil {
			return err
		}
		conn, err := net.ListenPacket("udp", addr)
		if err != nil {
			return fmt.Errorf("switch %s: listen on %s: %w", spec.Name, addr, err)
		}
		w := &netSwitch{sim: s, spec: spec, conn: conn, start: time.Now(), bridge: newBridge(spec), slots: make(chan struct{}, maxWaiting)}
		s.switches = append(s.switches, w)
		s.spawn(w.serve)
	}
	return nil
}

// switchAddress is where the nth switch (from 0) listens: one port after the other.
func switchAddress(first string, n int) (string, error) {
	a, err := netip.ParseAddrPort(first)
	if err != nil {
		return "", err
	}
	port := int(a.Port())
	if port != 0 {
		port += n
	}
	if port > 65535 {
		return "", &UsageError{Msg: fmt.Sprintf("there is no port for switch number %d after %s", n, first)}
	}
	return netip.AddrPortFrom(a.Addr(), uint16(port)).String(), nil
}

func (w *netSwitch) address() string { return w.conn.LocalAddr().String() }

// close ends serve.
func (w *netSwitch) close() error { return w.conn.Close() }

// silence makes the agent stop answering, or answer again.
func (w *netSwitch) silence(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = on
}

// links tells which ports have link: their machine has power. Sim.mu comes
// before netSwitch.mu.
func (w *netSwitch) links() []bool {
	out := make([]bool, w.spec.Ports)
	w.sim.mu.RLock()
	defer w.sim.mu.RUnlock()
	for n, m := range w.spec.Machines {
		out[n] = w.sim.machines[m].powered()
	}
	return out
}

// serve answers requests until the socket is closed.
func (w *netSwitch) serve() {
	buf := make([]byte, 65535)
	for {
		n, from, err := w.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		w.handle(bytes.Clone(buf[:n]), from)
	}
}

// handle answers a datagram. What isn't a request of somebody who knows the
// community gets none (RFC 3584, section 5.2.1).
func (w *netSwitch) handle(datagram []byte, from net.Addr) {
	req, err := decode(datagram)
	known := err == nil && subtle.ConstantTimeCompare([]byte(req.Community), []byte(w.sim.cfg.SwitchCommunity)) == 1
	if !known || req.Version != gosnmp.Version2c {
		return
	}
	w.mu.Lock()
	mute := w.mute
	w.mu.Unlock()
	if mute {
		return
	}
	res := &gosnmp.SnmpPacket{Version: req.Version, Community: req.Community, PDUType: gosnmp.GetResponse, RequestID: req.RequestID}
	switch req.PDUType {
	case gosnmp.GetRequest:
		res.Variables = w.get(req.Variables)
	case gosnmp.GetNextRequest:
		res.Variables = w.next(req.Variables, len(req.Variables), 0)
	case gosnmp.GetBulkRequest:
		res.Variables = w.next(req.Variables, int(req.NonRepeaters), int(min(req.MaxRepetitions, maxRepetitions)))
	case gosnmp.SetRequest:
		w.set(req, res, from)
		return
	default:
		return
	}
	w.answer(res, from)
}

// decode reads a request. The library is made for answers, so what it makes of
// a stranger's bytes may be a panic.
func decode(datagram []byte) (req *gosnmp.SnmpPacket, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not SNMP: %v", p)
		}
	}()
	return (&gosnmp.GoSNMP{Version: gosnmp.Version2c}).SnmpDecodePacket(datagram)
}

func (w *netSwitch) answer(res *gosnmp.SnmpPacket, to net.Addr) {
	out, err := res.MarshalMsg()
	if err != nil {
		log.Printf("sim: switch %s: %v", w.spec.Name, err)
		return
	}
	_, _ = w.conn.WriteTo(out, to) // an answer may get lost, as any datagram
}

// maxRepetitions bounds an answer to GetBulk.
const maxRepetitions = 40

func (w *netSwitch) get(asked []gosnmp.SnmpPDU) []gosnmp.SnmpPDU {
	links := w.links()
	w.mu.Lock()
	defer w.mu.Unlock()
	mib := w.mib(links)
	out := make([]gosnmp.SnmpPDU, 0, len(asked))
	for _, q := range asked {
		pdu := gosnmp.SnmpPDU{Name: q.Name, Type: gosnmp.NoSuchInstance}
		if i := slices.IndexFunc(mib, func(v variable) bool { return v.pdu.Name == q.Name }); i >= 0 {
			pdu = mib[i].pdu
		}
		out = append(out, pdu)
	}
	return out
}

// next answers GetNext and GetBulk: one instance behind each of the first
// names, then so many behind each of the others (RFC 3416, section 4.2.3).
func (w *netSwitch) next(asked []gosnmp.SnmpPDU, first, repetitions int) []gosnmp.SnmpPDU {
	links := w.links()
	w.mu.Lock()
	defer w.mu.Unlock()
	mib := w.mib(links)
	behind := func(name string) gosnmp.SnmpPDU {
		oid, err := parseOID(name)
		if err == nil {
			i, there := slices.BinarySearchFunc(mib, oid, func(v variable, o []int) int { return slices.Compare(v.oid, o) })
			if there {
				i++
			}
			if i < len(mib) {
				return mib[i].pdu
			}
		}
		return gosnmp.SnmpPDU{Name: name, Type: gosnmp.EndOfMibView}
	}
	var out []gosnmp.SnmpPDU
	first = min(first, len(asked))
	for _, q := range asked[:first] {
		out = append(out, behind(q.Name))
	}
	rest := slices.Clone(asked[first:])
	for range repetitions {
		for i := range rest {
			rest[i] = behind(rest[i].Name)
			out = append(out, rest[i])
		}
	}
	return out
}

// set answers a SetRequest, after the delay that was put in for what it does.
func (w *netSwitch) set(req, res *gosnmp.SnmpPacket, from net.Addr) {
	res.Variables = req.Variables
	w.mu.Lock()
	next, code, index := w.bridge.assign(req.Variables)
	var todo []move
	if next != nil {
		todo = w.bridge.moves(next)
	}
	w.mu.Unlock()
	var delay time.Duration
	for _, m := range todo {
		if w.sim.rules.takeFailure(m.op) {
			w.record(todo, resultFailed+"put in by ctl")
			code, index = gosnmp.CommitFailed, 1
			break
		}
		delay = max(delay, w.sim.rules.delayOf(m.op))
	}
	finish := func() {
		if code == gosnmp.NoError {
			code, index = w.commit(req.Variables)
		}
		res.Error, res.ErrorIndex = code, index
		w.answer(res, from)
	}
	if delay == 0 || code != gosnmp.NoError {
		finish()
		return
	}
	select {
	case w.slots <- struct{}{}:
		w.sim.spawn(func() {
			defer func() { <-w.slots }()
			if pause(w.sim.ctx, delay) {
				finish()
			}
		})
	default:
	}
}

// commit brings a change about, if it still can be.
func (w *netSwitch) commit(vars []gosnmp.SnmpPDU) (gosnmp.SNMPError, uint8) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, code, index := w.bridge.assign(vars)
	if next != nil {
		w.record(w.bridge.moves(next), ResultOK)
		w.bridge = next
	}
	return code, index
}

// record writes the ledger. SNMP has no place for a caller's token.
func (w *netSwitch) record(todo []move, result string) {
	for _, m := range todo {
		w.sim.ledger.add(Entry{System: w.spec.Name, Op: m.op, Object: m.object, Result: result, Detail: m.detail})
	}
}
