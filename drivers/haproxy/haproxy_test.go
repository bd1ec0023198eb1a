package haproxy

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

func TestBalancerConformance(t *testing.T) {
	drivertest.RunBalancer(t, func(t *testing.T) drivertest.BalancerWorld {
		r := start(t, "")
		nodes := map[string]*node{"db01": newNode(t, "db01"), "db02": newNode(t, "db02")}
		return drivertest.BalancerWorld{
			Open:  func(*testing.T) drivers.Balancer { return r.open("") },
			Pool:  "db",
			Nodes: [2]drivers.Member{nodes["db01"].Member, nodes["db02"].Member},
			Connections: func(_ *testing.T, _, member string, n int) {
				if n == 0 {
					nodes[member].release()
				}
				for range n {
					r.hold(nodes[member])
				}
			},
			Silence: func(*testing.T) { r.tap.l.Close() },
			Effects: func(_ *testing.T, op, object string) int { return r.tap.effects(op, object) },
		}
	})
}

func TestTrafficMoves(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	n := newNode(t, "db01")
	if got := r.answers(4); got["own"] != 4 {
		t.Fatalf("before: %v", got)
	}
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", n.Member); err != nil {
		t.Fatal(err)
	}
	if got := r.answers(10); got["db01"] == 0 || got["own"] == 0 {
		t.Fatalf("with the node added: %v", got)
	}
	held := r.hold(n)
	if _, err := d.DrainMember(ctx, drivers.Call{}, "db", "db01"); err != nil {
		t.Fatal(err)
	}
	if got := r.answers(10); got["own"] != 10 {
		t.Fatalf("with the node draining: %v", got)
	}
	n.release()
	if err := <-held; err != nil {
		t.Fatalf("the connection that was open when the drain began: %v", err)
	}
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "db01"); err != nil {
		t.Fatal(err)
	}
	if got := r.answers(10); got["own"] != 10 {
		t.Fatalf("with the node removed: %v", got)
	}
	all, err := d.Members(ctx, "db")
	if err != nil || len(all) != 1 || all[0].Name != "own" {
		t.Fatalf("after the removal: %v, %v", all, err)
	}
}

func TestRemovalCutsConnections(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	n := newNode(t, "db01")
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", n.Member); err != nil {
		t.Fatal(err)
	}
	held := r.hold(n)
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "db01"); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err == nil {
		t.Error("the connection went on")
	}
	if all, err := d.Members(ctx, "db"); err != nil || len(all) != 1 {
		t.Errorf("after the removal: %v, %v", all, err)
	}
}

func TestServerOfTheConfigurationIsNeverDeleted(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("unix:" + r.unix)
	for range 2 {
		if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "own"); err != nil {
			t.Fatal(err)
		}
		all, err := d.Members(ctx, "db")
		if err != nil || len(all) != 1 || all[0].Mode != drivers.MemberOff || all[0].Up || !all[0].Same(r.own.Member) {
			t.Fatalf("removed, it reads as %+v, %v", all, err)
		}
	}
	if who, err := r.get(ctx, "/"); err == nil {
		t.Fatalf("%s still answers", who)
	}
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", r.own.Member); err != nil {
		t.Fatal(err)
	}
	if got := r.answers(2); got["own"] != 2 {
		t.Errorf("added again: %v", got)
	}
}

func TestRestartLosesWhatWasAdded(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	n := newNode(t, "db01")
	add := func() {
		t.Helper()
		if _, err := d.AddMember(ctx, drivers.Call{}, "db", n.Member); err != nil {
			t.Fatal(err)
		}
	}
	add()
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "own"); err != nil {
		t.Fatal(err)
	}
	r.kill()
	r.run()
	all, err := d.Members(ctx, "db")
	if err != nil || len(all) != 1 || all[0].Name != "own" || all[0].Mode != drivers.MemberReady {
		t.Fatalf("after the restart: %v, %v", all, err)
	}
	add()
	if got := r.answers(10); got["db01"] == 0 {
		t.Errorf("asked for again: %v", got)
	}
}

func TestAnswerLost(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	n := newNode(t, "db01")
	for _, c := range []struct {
		word string
		call func() (drivers.Task, error)
	}{
		{"add server", func() (drivers.Task, error) { return d.AddMember(ctx, drivers.Call{}, "db", n.Member) }},
		{"state drain", func() (drivers.Task, error) { return d.DrainMember(ctx, drivers.Call{}, "db", "db01") }},
		{"state maint", func() (drivers.Task, error) { return d.RemoveMember(ctx, drivers.Call{}, "db", "db01") }},
		{"del server", func() (drivers.Task, error) { return d.RemoveMember(ctx, drivers.Call{}, "db", "db01") }},
	} {
		r.tap.cutAnswers(c.word)
		if _, err := c.call(); drivers.KindOf(err) != drivers.KindUnknown {
			t.Errorf("%s without an answer: %v, want unknown", c.word, err)
		}
	}
	r.tap.cutAnswers("")
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "db01"); err != nil {
		t.Error(err)
	}
	r.tap.cutAnswers("show")
	if _, err := d.Members(ctx, "db"); drivers.KindOf(err) != drivers.KindUnreachable {
		t.Errorf("a read without an answer: %v, want unreachable", err)
	}
}

func TestLeftoverOfARemovalGivesItsNameUp(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", newNode(t, "db01").Member); err != nil {
		t.Fatal(err)
	}
	r.tap.cutAnswers("state maint")
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "db01"); drivers.KindOf(err) != drivers.KindUnknown {
		t.Fatalf("a removal that was cut off: %v", err)
	}
	r.tap.cutAnswers("")
	other := newNode(t, "db01")
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", other.Member); err != nil {
		t.Fatal(err)
	}
	all, err := d.Members(ctx, "db")
	if err != nil || len(all) != 2 || !all[0].Same(other.Member) || all[0].Mode != drivers.MemberReady {
		t.Errorf("added with another address: %+v, %v", all, err)
	}
	if _, err := d.RemoveMember(ctx, drivers.Call{}, "db", "own"); err != nil {
		t.Fatal(err)
	}
	elsewhere := r.own.Member
	elsewhere.Port = other.Port
	if _, err := d.AddMember(ctx, drivers.Call{}, "db", elsewhere); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a server of the configuration gives its name up: %v", err)
	}
}

func TestHAProxyRefuses(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	n := newNode(t, "db01")
	_, err := d.AddMember(ctx, drivers.Call{}, "empty", n.Member)
	if drivers.KindOf(err) != drivers.KindRefused || !strings.Contains(err.Error(), "dynamic") {
		t.Errorf("a node for a backend with a static algorithm: %v", err)
	}
	d, err = Open(Config{Name: "lb1", Address: r.tap.l.Addr().String(), Options: map[string]string{"server": "checked"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.AddMember(ctx, drivers.Call{}, "db", n.Member)
	if drivers.KindOf(err) != drivers.KindRefused || !strings.Contains(err.Error(), "checked") {
		t.Errorf("a node with an option that HAProxy doesn't know: %v", err)
	}
	if all, err := d.Members(ctx, "db"); err != nil || len(all) != 1 {
		t.Errorf("afterwards: %v, %v", all, err)
	}
}

func TestNodeThatIsDownAndIPv6(t *testing.T) {
	ctx := context.Background()
	r := start(t, "")
	d := r.open("")
	dead := listen(t)
	m := drivers.Member{Name: "db01", Address: "127.0.0.1", Port: dead.Addr().(*net.TCPAddr).Port}
	dead.Close()
	six := drivers.Member{Name: "db02", Address: "2001:db8::1", Port: 80}
	for _, m := range []drivers.Member{m, six} {
		if _, err := d.AddMember(ctx, drivers.Call{}, "db", m); err != nil {
			t.Fatal(err)
		}
	}
	drivertest.WaitFor(t, "the check to tell that nobody is there", func() bool {
		all, err := d.Members(ctx, "db")
		return err == nil && len(all) == 3 && all[0].Name == "db01" && !all[0].Up && all[0].Mode == drivers.MemberReady && all[1].Same(six)
	})
}

func TestSilentSocketIsLeftInTime(t *testing.T) {
	l := listen(t)
	d, err := Open(Config{Name: "lb1", Address: l.Addr().String(), Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Pools(context.Background()); drivers.KindOf(err) != drivers.KindUnreachable {
		t.Errorf("a socket that says nothing: %v", err)
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []Config{
		{}, {Address: "host"}, {Address: ":99"}, {Address: "unix:s"}, {Address: "http://host:99"},
		{Address: "h:99", Options: map[string]string{"server": "check;quit"}}, {Address: "h:99", Options: map[string]string{"server": "id 5"}}, {Address: "h:99", Options: map[string]string{"server": "disabled"}}, {Address: "h:99", Options: map[string]string{"sever": "check"}},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
