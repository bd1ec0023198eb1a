package sim

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/haproxy"
)

// smallWorld is a world of little but a balancer and an array.
func smallWorld() World {
	return World{
		SharedDatastores: []string{"shared01"}, VMServers: []MachineSpec{{Name: "esx01"}},
		Machines: []MachineSpec{{Name: "ph01", Off: true}, {Name: "ph03", Off: true}},
		Balancers: []BalancerSpec{{Name: "lb1", Pools: []PoolSpec{
			{Name: "web"}, {Name: "db", Servers: []PoolServerSpec{{Name: "own", Address: "192.0.2.9", Port: 5432}}},
		}}},
		Arrays: []ArraySpec{{Name: "array1", Volumes: []VolumeSpec{{Name: "db01-data"}, {Name: "db02-data"}, {Name: "quorum", Shared: true}}}},
	}
}

// startSmall starts the small world in a state directory of its own.
func startSmall(t *testing.T) (*Sim, string) {
	t.Helper()
	w, dir := smallWorld(), t.TempDir()
	cfg := quick()
	cfg.World, cfg.StateDir = &w, dir
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

// effects counts what took place at a system.
func effects(t *testing.T, s *Sim, system, op, object string) int {
	t.Helper()
	entries, err := s.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.OK() && e.System == system && (op == "" || string(e.Op) == op) && (object == "" || e.Object == object) {
			n++
		}
	}
	return n
}

func openBalancer(t *testing.T, s *Sim) *haproxy.Driver {
	t.Helper()
	d, err := haproxy.Open(haproxy.Config{Name: "lb1", Address: s.BalancerAddr("lb1"), Options: map[string]string{"server": "check"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBalancerConformance(t *testing.T) {
	drivertest.RunBalancer(t, func(t *testing.T) drivertest.BalancerWorld {
		s, _ := startSmall(t)
		return drivertest.BalancerWorld{
			Open: func(t *testing.T) drivers.Balancer { return openBalancer(t, s) },
			Pool: "db",
			Nodes: [2]drivers.Member{
				{Name: "db01", Address: "192.0.2.51", Port: 5432},
				{Name: "db02", Address: "2001:db8::52", Port: 5432},
			},
			Connections: func(t *testing.T, pool, member string, n int) {
				if err := s.SetConnections("lb1", pool, member, n); err != nil {
					t.Fatal(err)
				}
			},
			Silence: func(t *testing.T) {
				if _, err := s.HostDown("lb1", false); err != nil {
					t.Fatal(err)
				}
			},
			Effects: func(t *testing.T, op, object string) int { return effects(t, s, "lb1", op, object) },
		}
	})
}

func TestBalancerFaults(t *testing.T) {
	ctx := context.Background()
	s, _ := startSmall(t)
	d := openBalancer(t, s)
	m := drivers.Member{Name: "db01", Address: "192.0.2.51", Port: 5432}
	if _, err := s.Fail("lb-add", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", m); err == nil || !strings.Contains(err.Error(), "put in by ctl") {
		t.Errorf("a failure that was put in: %v", err)
	}
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", m); err != nil {
		t.Error(err)
	}
	if _, err := s.Delay("lb-drain", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := d.DrainMember(ctx, drivers.Call{}, "db", "db01"); err != nil || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("a delay that was put in: %v after %s", err, time.Since(begin))
	}
	if _, err := s.HostDown("lb1", false); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); len(st.Balancers) != 1 || st.Balancers[0].Answers || len(st.Balancers[0].Servers) != 2 || st.Balancers[0].Servers[1].Mode != "drain" {
		t.Errorf("the status is %+v", st.Balancers)
	}
	if _, err := s.HostUp(ctx, "lb1"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "own"); err != nil {
		t.Error(err)
	}
	if all, err := d.Members(ctx, "db"); err != nil || len(all) != 2 || all[1].Name != "own" || all[1].Mode != drivers.MemberOff {
		t.Errorf("the pool is %+v, %v", all, err)
	}
}

// TestBalancerSocket sends what a driver wouldn't.
func TestBalancerSocket(t *testing.T) {
	s, _ := startSmall(t)
	for line, want := range map[string]string{
		"show info":                               "Unknown command",
		"":                                        "Unknown command",
		"show servers state":                      "Can't find backend",
		"add server db/x":                         "Unknown command",
		"add server db/x nowhere":                 "can't be read",
		"add server nope/x 192.0.2.1:80":          "No such backend",
		"add server db/own 192.0.2.1:80":          "Already exists",
		"add server db/x 192.0.2.1:80 id 1":       "is used already",
		"add server db/x 192.0.2.1:80 id none":    "positive number",
		"set server db/own state asleep":          "expects",
		"set server db/none state maint":          "No such server",
		"del server db/own":                       "maintenance",
		"enable health db/own":                    "not configured",
		"show backend;show stat web 4 -1;":        "# name\nweb\ndb\n\n# pxname",
		"shutdown sessions server db/own; show x": "\nUnknown",
	} {
		conn, err := net.Dial("tcp", s.BalancerAddr("lb1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), want) {
			t.Errorf("%q: %q, %v; want %q", line, buf[:n], err, want)
		}
		conn.Close()
	}
	if n := effects(t, s, "lb1", "", ""); n != 0 {
		t.Errorf("%d effects", n)
	}
}

func TestBadBalancersAndArrays(t *testing.T) {
	for name, change := range map[string]func(*World){
		"balancer without pools": func(w *World) { w.Balancers[0].Pools = nil },
		"balancer with the name of a machine": func(w *World) {
			w.Balancers[0].Name = "ph01"
		},
		"two pools of a name":    func(w *World) { w.Balancers[0].Pools[0].Name = "db" },
		"pool with a bad name":   func(w *World) { w.Balancers[0].Pools[0].Name = "d;b" },
		"server without address": func(w *World) { w.Balancers[0].Pools[1].Servers[0].Address = "" },
		"server without port":    func(w *World) { w.Balancers[0].Pools[1].Servers[0].Port = 0 },
		"two volumes of a name":  func(w *World) { w.Arrays[0].Volumes[1].Name = "db01-data" },
		"volume with a bad name": func(w *World) { w.Arrays[0].Volumes[1].Name = "a b" },
		"unknown machine":        func(w *World) { w.Arrays[0].Volumes[1].Machines = []string{"ph99"} },
		"two machines, one volume": func(w *World) {
			w.Arrays[0].Volumes[1].Machines = []string{"ph01", "ph03"}
		},
		"array with the name of a balancer": func(w *World) { w.Arrays[0].Name = "lb1" },
	} {
		w := smallWorld()
		change(&w)
		if _, err := w.layout(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
