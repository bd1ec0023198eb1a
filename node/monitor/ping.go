package monitor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// pinger sends ICMP echo requests over one socket for each version of IP. A
// reply is told by the random token that it brings back, so that neither another
// program's nor a forged one counts.
type pinger struct {
	mu   sync.Mutex // guards v4 and v6
	v4   *echoer
	v6   *echoer
	done bool
}

// echoer is one socket with those who wait for its replies.
type echoer struct {
	conn  *icmp.PacketConn
	raw   bool // needs an IP address as the destination, else a UDP one
	kind  icmp.Type
	reply icmp.Type
	proto int // number of ICMP, for parsing
	ended chan struct{}

	mu    sync.Mutex // guards waits and seq
	waits map[token]chan struct{}
	seq   uint16
}

// token is what a reply is known by.
type token [16]byte

// families are the two versions of IP, and how to open a socket for each: with
// the right to raw sockets, or, where net.ipv4.ping_group_range allows it, without.
var families = map[bool]struct {
	raw, udp, any string
	kind, reply   icmp.Type
	proto         int
}{
	false: {"ip4:icmp", "udp4", "0.0.0.0", ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1},
	true:  {"ip6:ipv6-icmp", "udp6", "::", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58},
}

func (p *pinger) probe(ctx context.Context, address string) error {
	ip, err := new(net.Resolver).LookupIPAddr(ctx, address)
	if err != nil || len(ip) == 0 {
		return fmt.Errorf("no address of %s: %w", address, err)
	}
	e, err := p.socket(ip[0].IP.To4() == nil)
	if err != nil {
		return &Unable{err}
	}
	return e.ask(ctx, ip[0])
}

// socket gives the socket for a version of IP, opened at its first use.
func (p *pinger) socket(six bool) (*echoer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return nil, net.ErrClosed
	}
	at := &p.v4
	if six {
		at = &p.v6
	}
	if *at != nil {
		return *at, nil
	}
	f := families[six]
	e := &echoer{raw: true, kind: f.kind, reply: f.reply, proto: f.proto, ended: make(chan struct{}), waits: map[token]chan struct{}{}}
	var err error
	if e.conn, err = icmp.ListenPacket(f.raw, f.any); err != nil {
		var uerr error
		if e.conn, uerr = icmp.ListenPacket(f.udp, f.any); uerr != nil {
			return nil, fmt.Errorf("no ICMP socket: %w; give pvmd the capability CAP_NET_RAW, or its group a place in net.ipv4.ping_group_range", errors.Join(err, uerr))
		}
		e.raw = false
	}
	*at = e
	go e.listen()
	return e, nil
}

func (p *pinger) close() error {
	p.mu.Lock()
	p.done = true
	v4, v6 := p.v4, p.v6
	p.mu.Unlock()
	var errs []error
	for _, e := range []*echoer{v4, v6} {
		if e != nil {
			errs = append(errs, e.conn.Close())
			<-e.ended
		}
	}
	return errors.Join(errs...)
}

// ask sends one request and waits for its reply.
func (e *echoer) ask(ctx context.Context, to net.IPAddr) error {
	var t token
	_, _ = rand.Read(t[:])
	answered := make(chan struct{}, 1)
	e.mu.Lock()
	e.seq++
	seq := e.seq
	e.waits[t] = answered
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.waits, t)
		e.mu.Unlock()
	}()
	m := icmp.Message{Type: e.kind, Body: &icmp.Echo{ID: int(t[0])<<8 | int(t[1]), Seq: int(seq), Data: t[:]}}
	b, err := m.Marshal(nil) // the kernel fills in the checksum of ICMPv6
	if err != nil {
		return &Unable{err}
	}
	var dst net.Addr = &to
	if !e.raw {
		dst = &net.UDPAddr{IP: to.IP, Zone: to.Zone}
	}
	if _, err := e.conn.WriteTo(b, dst); err != nil {
		return local(err)
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return errors.New("no reply")
	}
}

// listen hands replies to those who wait, until the socket is closed.
func (e *echoer) listen() {
	defer close(e.ended)
	b := make([]byte, 1500)
	for {
		n, _, err := e.conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of one datagram; the pause is for what may stay
			time.Sleep(time.Millisecond)
			continue
		}
		m, err := icmp.ParseMessage(e.proto, bytes.Clone(b[:n]))
		if err != nil || m.Type != e.reply {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		if !ok || len(echo.Data) != len(token{}) {
			continue
		}
		e.mu.Lock()
		if w := e.waits[token(echo.Data)]; w != nil {
			select {
			case w <- struct{}{}:
			default:
			}
		}
		e.mu.Unlock()
	}
}
