package qbridge

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"yagura/drivers"
)

// relay is a path to an agent that loses answers.
type relay struct {
	addr string
	lose func(request []byte) bool
}

func newRelay(t *testing.T, to string, lose func(request []byte) bool) *relay {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = in.Close()
		wg.Wait()
	})
	wg.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			request := bytes.Clone(buf[:n])
			out, err := net.Dial("udp", to)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = out.Write(request)
			if n, err = out.Read(buf); err == nil && !lose(request) {
				_, _ = in.WriteTo(buf[:n], from)
			}
			_ = out.Close()
		}
	})
	return &relay{in.LocalAddr().String(), lose}
}

// isSet tells a SetRequest: its tag follows the community.
func isSet(request []byte) bool { return bytes.Contains(request, []byte("private\xa3")) }

func TestLostAnswers(t *testing.T) {
	a := startAgent(t, serial)
	task, err := a.driver(Config{Password: "private"}).AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/10", web)
	must(t, task, err)
	var dead atomic.Bool
	for _, c := range []struct {
		name string
		lose func(request []byte) bool
		ok   bool
	}{
		{"to changes", isSet, true},
		{"from the first change on", func(r []byte) bool { return dead.Load() || isSet(r) && dead.CompareAndSwap(false, true) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := a.driver(Config{Password: "private"})
			host, port, err := net.SplitHostPort(newRelay(t, a.addr, c.lose).addr)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			d.host, d.port = host, uint16(n)
			name := "ge-0/0/" + strconv.Itoa(len(c.name)%9+1)
			task, err := d.AddToVLAN(ctx(t), drivers.Call{}, name, web)
			if c.ok {
				must(t, task, err)
			} else {
				wants(t, err, drivers.KindUnknown, "")
			}
			// A successor finds out what came of it.
			task, err = a.driver(Config{Password: "private"}).AddToVLAN(ctx(t), drivers.Call{}, name, web)
			must(t, task, err)
			if n := a.effects("vlan-add", name+" 300"); n != 1 {
				t.Fatalf("%d effects", n)
			}
		})
	}
}

// TestOvertaken writes PortLists that are old: the switch's serial number must
// keep that from undoing what another manager did.
func TestOvertaken(t *testing.T) {
	a := startAgent(t, serial)
	d := a.driver(Config{Password: "private"})
	c, err := d.open(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	task, err := d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/1", web)
	must(t, task, err)
	old, err := c.read(1)
	if err != nil {
		t.Fatal(err)
	}
	task, err = d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/2", web)
	must(t, task, err)
	if err := c.apply(old, old.ports[2], goal{vlan: web, in: true}); err != errOvertaken {
		t.Fatal(err)
	}
	if p, err := d.Port(ctx(t), "ge-0/0/2"); err != nil || p.VLAN != web.ID {
		t.Fatal(p, err)
	}
}
