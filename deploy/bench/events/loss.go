package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
	"yagura/deploy/testbed"
)

// machines is the number of machines that a load of traps is about: enough that
// the decision on each counts, few enough that rows don't.
const machines = 1000

// plainTraps compares the highest rate of traps without loss.
func (b *bench) plainTraps(ctx context.Context) error {
	o, err := b.lossPoint(ctx, func(rate int) (int, error) { return traps(ctx, b.sinks, rate, lossTime, machines) }, b.recorded)
	if err != nil {
		return err
	}
	d, err := b.lossPoint(ctx, func(rate int) (int, error) { return traps(ctx, []string{b.daemon.addr}, rate, lossTime, machines) }, b.daemon.logged)
	if err != nil {
		return err
	}
	compare("plain traps without loss", fmt.Sprintf("%d/s", o), "snmptrapd", fmt.Sprintf("%d/s", d), float64(o)/float64(d), ">= 4 (stretch 10)")
	return nil
}

// v3Traps compares the highest rate of authenticated and encrypted traps.
func (b *bench) v3Traps(ctx context.Context) error {
	// Encrypting costs the sender more than the receiver, so the datagrams are made before.
	packets, err := v3Packets(machines)
	if err != nil {
		return err
	}
	to := func(sinks []string) func(int) (int, error) {
		return func(rate int) (int, error) { return v3(ctx, sinks, packets, rate, lossTime) }
	}
	o, err := b.lossPoint(ctx, to(b.sinks), b.recorded)
	if err != nil {
		return err
	}
	d, err := b.lossPoint(ctx, to([]string{b.daemon.addr}), b.daemon.logged)
	if err != nil {
		return err
	}
	compare("v3 authPriv traps without loss", fmt.Sprintf("%d/s", o), "snmptrapd", fmt.Sprintf("%d/s", d), float64(o)/float64(d), ">= 3 (stretch 5)")
	return nil
}

const (
	// lossTime is the length of a load whose loss is looked for.
	lossTime  = 2 * time.Second
	firstRate = 2000
	step      = 1.3
	// maxMissing is how far a load may fall short of its rate: the sender is at
	// its limit then, and a higher rate says nothing.
	maxMissing = 0.95
	// drainPatience is how long the managers may get no further with what they have received.
	drainPatience = 30 * time.Second
)

// lossPoint raises the rate until traps are lost, and gives the highest rate
// without loss. count is how many have arrived so far, for good.
func (b *bench) lossPoint(ctx context.Context, send func(rate int) (int, error), count func(context.Context) (int, error)) (int, error) {
	best := 0
	for rate := firstRate; ; rate = int(float64(rate) * step) {
		before, err := count(ctx)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		sent, err := send(rate)
		if err != nil {
			return 0, err
		}
		real := float64(sent) / time.Since(begin).Seconds()
		after, err := count(ctx)
		if err != nil {
			return 0, err
		}
		if after-before != sent {
			return best, nil
		}
		best = max(best, int(real))
		if real < maxMissing*float64(rate) {
			fmt.Printf("  the sender reached its limit at %.0f/s, without loss\n", real)
			return best, nil
		}
	}
}

// recorded is how many notifications the managers have taken, once all of them
// are recorded. Dropped ones don't count.
func (b *bench) recorded(ctx context.Context) (int, error) { return recorded(ctx, b.bed) }

func recorded(ctx context.Context, bed *testbed.Bed) (int, error) {
	last, waited := -1, math.MaxInt
	for progress := time.Now(); time.Since(progress) < drainPatience && ctx.Err() == nil; peer.Pause(ctx, 200*time.Millisecond) {
		taken, waiting := 0, 0
		for i := range bed.Nodes {
			m, err := scrape(bed, i)
			if err != nil {
				return 0, err
			}
			taken += m["yagura_traps_received_total"] - m["yagura_traps_dropped_total"]
			waiting += m["yagura_traps_waiting"]
		}
		if waiting == 0 && taken == last {
			return taken, nil
		}
		if taken != last || waiting < waited {
			progress = time.Now()
		}
		last, waited = taken, waiting
	}
	return 0, errors.Join(ctx.Err(), errors.New("the managers don't come to the end of what they have received"))
}

// scrape reads a manager's metrics, summed over their labels.
func scrape(bed *testbed.Bed, manager int) (map[string]int, error) {
	ca, err := os.ReadFile(bed.Path("ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, Timeout: 5 * time.Second}
	r, err := c.Get("https://" + bed.Nodes[manager].IP + ":26150/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	out := map[string]int{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || !strings.HasPrefix(name, "yagura_") {
			continue
		}
		name, _, _ = strings.Cut(name, "{")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] += int(v)
		}
	}
	return out, nil
}

// v3 sends authenticated and encrypted traps at a rate.
func v3(ctx context.Context, sinks []string, packets [][]byte, rate int, d time.Duration) (_ int, err error) {
	conns := make([]net.Conn, len(sinks))
	for i, s := range sinks {
		if conns[i], err = net.Dial("udp", s); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	return trapload.Paced(ctx, rate, d, func(n int) error {
		_, err := conns[n%len(conns)].Write(packets[n%len(packets)])
		return err
	})
}

// v3Packets encodes traps about n machines, by sending them to ourselves.
func v3Packets(n int) ([][]byte, error) {
	own, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	defer own.Close()
	g := &gosnmp.GoSNMP{
		Target: "127.0.0.1", Port: own.LocalAddr().(*net.UDPAddr).AddrPort().Port(), Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel,
		MsgFlags: gosnmp.AuthPriv, Timeout: time.Second, MaxOids: 60,
		SecurityParameters: &gosnmp.UsmSecurityParameters{
			UserName: v3User, AuthoritativeEngineID: engineID(), AuthoritativeEngineBoots: 1, AuthoritativeEngineTime: uint32(time.Since(started).Seconds()) + 1,
			AuthenticationProtocol: gosnmp.SHA, AuthenticationPassphrase: v3Auth, PrivacyProtocol: gosnmp.AES, PrivacyPassphrase: v3Priv,
		},
	}
	if err := g.Connect(); err != nil {
		return nil, err
	}
	defer g.Conn.Close()
	packets := make([][]byte, n)
	buf := make([]byte, 2048)
	for i := range packets {
		if _, err := g.SendTrap(gosnmp.SnmpTrap{Variables: trapload.Variables("0x800002BD", trapload.TargetName(i))}); err != nil {
			return nil, err
		}
		k, err := own.Read(buf)
		if err != nil {
			return nil, err
		}
		packets[i] = bytes.Clone(buf[:k])
	}
	return packets, nil
}

// started is when the sending engine was booted.
var started = time.Now()

// engineID is the sending engine's id as the protocol has it.
func engineID() string {
	out := make([]byte, 0, len(v3Engine)/2)
	for i := 0; i < len(v3Engine); i += 2 {
		n, _ := strconv.ParseUint(v3Engine[i:i+2], 16, 8)
		out = append(out, byte(n))
	}
	return string(out)
}
