package drivertest

import (
	"context"
	"slices"
	"testing"

	"yagura/drivers"
)

// BalancerWorld is a load balancer under test.
type BalancerWorld struct {
	// Open returns a new client, as another manager process would have it. The
	// suite closes it.
	Open func(t *testing.T) drivers.Balancer
	// Pool is a pool to put nodes into. It may have others.
	Pool string
	// Nodes are two nodes that aren't in the pool and whose names the balancer takes.
	Nodes [2]drivers.Member
	// Connections gives the node so many open connections through the balancer;
	// 0 ends them. It returns when the balancer shows it.
	Connections func(t *testing.T, pool, member string, n int)
	// Silence makes the balancer stop answering.
	Silence func(t *testing.T)
	// Effects counts the effects of an operation (names as in the ledger of
	// drivers/fake: lb-add, lb-drain, lb-remove) that took place on an object,
	// "POOL/MEMBER"; empty strings count all.
	Effects func(t *testing.T, op, object string) int
}

// RunBalancer runs the suite. world makes a fresh world.
func RunBalancer(t *testing.T, world func(t *testing.T) BalancerWorld) {
	each(t, 2*patience, []test[*balancer]{
		{"Read", testBalancerRead},
		{"AddConverges", testBalancerAdd},
		{"NameOfAnotherAddressIsRefused", testBalancerOtherAddress},
		{"DrainAndBack", testBalancerDrain},
		{"DrainLetsConnectionsEnd", testBalancerConnections},
		{"RemoveConverges", testBalancerRemove},
		{"RemoveDespiteConnections", testBalancerRemoveBusy},
		{"Refusals", testBalancerRefuses},
		{"ExpiredCallsDoNothing", testBalancerExpired},
		{"EndedContextDoesNothing", testBalancerEndedContext},
		{"Silent", testBalancerSilent},
	}, func(t *testing.T, ctx context.Context) *balancer {
		b := &balancer{T: t, ctx: ctx, w: world(t)}
		b.d = b.open()
		return b
	})
}

// balancer is one running subtest.
type balancer struct {
	*testing.T
	ctx context.Context
	w   BalancerWorld
	d   drivers.Balancer
}

func (b *balancer) open() drivers.Balancer { return opened(b.ctx, b.T, b.w.Open) }

// member reads a node; its mode is MemberOff when the pool doesn't have it.
func (b *balancer) member(d drivers.Balancer, name string) drivers.MemberState {
	b.Helper()
	all, err := d.Members(b.ctx, b.w.Pool)
	if err != nil {
		b.Fatalf("members of %s: %v", b.w.Pool, err)
	}
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	return drivers.MemberState{Mode: drivers.MemberOff}
}

// becomes waits until every client sees the node in a mode.
func (b *balancer) becomes(name string, want drivers.MemberMode) {
	b.Helper()
	for _, d := range []drivers.Balancer{b.d, b.open()} {
		waitFor(b.T, b.ctx, name+" to be "+string(want), func() bool { return b.member(d, name).Mode == want })
	}
}

// ok wants a call to be accepted.
func (b *balancer) ok(task drivers.Task, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	if task.State != drivers.TaskDone && task.State != drivers.TaskRunning {
		b.Fatalf("the task is %+v", task)
	}
}

func (b *balancer) fails(k drivers.Kind, what string, err error) {
	b.Helper()
	if err == nil || drivers.KindOf(err) != k {
		b.Fatalf("%s: %v, want %s", what, err, k)
	}
}

// effects wants so many effects of an operation on a node of the pool; empty strings count all.
func (b *balancer) effects(n int, op, member string) {
	b.Helper()
	object := member
	if member != "" {
		object = b.w.Pool + "/" + member
	}
	if got := b.w.Effects(b.T, op, object); got != n {
		b.Fatalf("%d effects %q on %q, want %d", got, op, object, n)
	}
}

// added puts the first node into the pool.
func (b *balancer) added() drivers.Member {
	b.Helper()
	m := b.w.Nodes[0]
	b.ok(b.d.AddMember(b.ctx, call("add"), b.w.Pool, m))
	b.becomes(m.Name, drivers.MemberReady)
	return m
}

func testBalancerRead(b *balancer) {
	pools, err := b.d.Pools(b.ctx)
	if err != nil || !slices.Contains(pools, b.w.Pool) || !slices.IsSorted(pools) {
		b.Fatalf("pools %v, %v; want %s among them, ascending", pools, err, b.w.Pool)
	}
	all, err := b.d.Members(b.ctx, b.w.Pool)
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range all {
		if m.Name == b.w.Nodes[0].Name || m.Name == b.w.Nodes[1].Name {
			b.Errorf("%s is in the pool before the test", m.Name)
		}
	}
	_, err = b.d.Members(b.ctx, "no-such-pool")
	b.fails(drivers.KindNotFound, "members of a pool that isn't there", err)
	b.effects(0, "", "")
}

func testBalancerAdd(b *balancer) {
	for _, m := range b.w.Nodes {
		for range 2 {
			b.ok(b.d.AddMember(b.ctx, call("add "+m.Name), b.w.Pool, m))
			b.becomes(m.Name, drivers.MemberReady)
		}
		got := b.member(b.d, m.Name)
		if got.Name != m.Name || !got.Same(m) || got.Connections != 0 {
			b.Errorf("%+v was added, and it reads as %+v", m, got)
		}
		waitFor(b.T, b.ctx, m.Name+" to be up", func() bool { return b.member(b.d, m.Name).Up })
		b.effects(1, "lb-add", m.Name)
	}
	b.effects(2, "", "")
}

func testBalancerOtherAddress(b *balancer) {
	m := b.added()
	other := m
	other.Port = b.w.Nodes[1].Port + 1
	_, err := b.d.AddMember(b.ctx, call("other"), b.w.Pool, other)
	b.fails(drivers.KindRefused, "a node with the name of another", err)
	if got := b.member(b.d, m.Name); !got.Same(m) || got.Mode != drivers.MemberReady {
		b.Errorf("it became %+v", got)
	}
	b.effects(1, "", "")
}

func testBalancerDrain(b *balancer) {
	m := b.added()
	for range 2 {
		b.ok(b.d.DrainMember(b.ctx, call("drain"), b.w.Pool, m.Name))
		b.becomes(m.Name, drivers.MemberDraining)
	}
	b.effects(1, "lb-drain", m.Name)
	for range 2 {
		b.ok(b.d.AddMember(b.ctx, call("again"), b.w.Pool, m))
		b.becomes(m.Name, drivers.MemberReady)
	}
	b.effects(2, "lb-add", m.Name)
	b.ok(b.d.DrainMember(b.ctx, call("nobody"), b.w.Pool, b.w.Nodes[1].Name))
	b.effects(3, "", "")
}

func testBalancerConnections(b *balancer) {
	m := b.added()
	b.w.Connections(b.T, b.w.Pool, m.Name, 2)
	if got := b.member(b.d, m.Name); got.Connections != 2 {
		b.Fatalf("with two connections it reads as %+v", got)
	}
	b.ok(b.d.DrainMember(b.ctx, call("drain"), b.w.Pool, m.Name))
	b.becomes(m.Name, drivers.MemberDraining)
	if got := b.member(b.d, m.Name); got.Connections != 2 {
		b.Fatalf("draining, it reads as %+v; open connections must stay", got)
	}
	b.w.Connections(b.T, b.w.Pool, m.Name, 0)
	waitFor(b.T, b.ctx, "the connections to end", func() bool { return b.member(b.d, m.Name).Connections == 0 })
	b.ok(b.d.RemoveMember(b.ctx, call("remove"), b.w.Pool, m.Name))
	b.becomes(m.Name, drivers.MemberOff)
}

func testBalancerRemove(b *balancer) {
	m := b.added()
	for range 2 {
		b.ok(b.d.RemoveMember(b.ctx, call("remove"), b.w.Pool, m.Name))
		b.becomes(m.Name, drivers.MemberOff)
	}
	b.effects(1, "lb-remove", m.Name)
	b.ok(b.d.RemoveMember(b.ctx, call("nobody"), b.w.Pool, b.w.Nodes[1].Name))
	b.ok(b.d.DrainMember(b.ctx, call("gone"), b.w.Pool, m.Name))
	b.becomes(m.Name, drivers.MemberOff)
	b.effects(2, "", "")
	b.ok(b.d.AddMember(b.ctx, call("back"), b.w.Pool, m))
	b.becomes(m.Name, drivers.MemberReady)
	b.effects(2, "lb-add", m.Name)
}

func testBalancerRemoveBusy(b *balancer) {
	m := b.added()
	b.w.Connections(b.T, b.w.Pool, m.Name, 1)
	b.ok(b.d.RemoveMember(b.ctx, call("remove"), b.w.Pool, m.Name))
	b.becomes(m.Name, drivers.MemberOff)
	b.effects(1, "lb-remove", m.Name)
}

func testBalancerRefuses(b *balancer) {
	m := b.w.Nodes[0]
	_, err := b.d.AddMember(b.ctx, call("1"), "no-such-pool", m)
	b.fails(drivers.KindNotFound, "a node of a pool that isn't there", err)
	_, err = b.d.DrainMember(b.ctx, call("2"), "no-such-pool", m.Name)
	b.fails(drivers.KindNotFound, "drain in a pool that isn't there", err)
	_, err = b.d.RemoveMember(b.ctx, call("3"), "no-such-pool", m.Name)
	b.fails(drivers.KindNotFound, "removal from a pool that isn't there", err)
	for _, bad := range []drivers.Member{
		{Name: "", Address: m.Address, Port: m.Port},
		{Name: "a;disable server b/c", Address: m.Address, Port: m.Port},
		{Name: "a\nb", Address: m.Address, Port: m.Port},
		{Name: m.Name, Address: "", Port: m.Port},
		{Name: m.Name, Address: "somewhere", Port: m.Port},
		{Name: m.Name, Address: m.Address, Port: 0},
		{Name: m.Name, Address: m.Address, Port: 65536},
	} {
		_, err = b.d.AddMember(b.ctx, call("4"), b.w.Pool, bad)
		b.fails(drivers.KindRefused, "a bad node", err)
	}
	for _, bad := range []string{"", "a b", "a;b", "-a"} {
		_, err = b.d.DrainMember(b.ctx, call("5"), b.w.Pool, bad)
		b.fails(drivers.KindRefused, "drain of a bad name", err)
		_, err = b.d.RemoveMember(b.ctx, call("6"), b.w.Pool, bad)
		b.fails(drivers.KindRefused, "removal of a bad name", err)
	}
	b.effects(0, "", "")
}

// allChanges makes every change of the node, each of which would be an effect.
func (b *balancer) allChanges(ctx context.Context, c drivers.Call, m drivers.Member, k drivers.Kind) {
	b.Helper()
	_, err := b.d.AddMember(ctx, c, b.w.Pool, b.w.Nodes[1])
	b.fails(k, "add", err)
	_, err = b.d.DrainMember(ctx, c, b.w.Pool, m.Name)
	b.fails(k, "drain", err)
	_, err = b.d.RemoveMember(ctx, c, b.w.Pool, m.Name)
	b.fails(k, "remove", err)
	b.effects(1, "", "")
}

func testBalancerExpired(b *balancer) {
	b.allChanges(b.ctx, late("late"), b.added(), drivers.KindExpired)
}

func testBalancerEndedContext(b *balancer) {
	m := b.added()
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	b.allChanges(ctx, call("ended"), m, drivers.KindUnreachable)
}

func testBalancerSilent(b *balancer) {
	m := b.added()
	b.w.Silence(b.T)
	_, err := b.d.Pools(b.ctx)
	b.fails(drivers.KindUnreachable, "pools", err)
	_, err = b.d.Members(b.ctx, b.w.Pool)
	b.fails(drivers.KindUnreachable, "members", err)
	b.allChanges(b.ctx, call("silent"), m, drivers.KindUnreachable)
}
