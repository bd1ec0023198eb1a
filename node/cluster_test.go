package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/nodetest"
)

// put writes one row, as a stand-in for any write.
func put(name string) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		return fsm.Categories.Put(tx, &schema.Category{Path: name})
	}
}

func has(n *node.Node, name string) bool {
	_, ok := fsm.Categories.Get(n.Store().View(), name)
	return ok
}

func context30(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), nodetest.Bound)
	t.Cleanup(cancel)
	return ctx
}

func TestClusterElectsAndReplicates(t *testing.T) {
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("put", put("shop"))
	c.Check()
	for i := range 3 {
		if !has(c.Node(i), "shop") {
			t.Errorf("%s doesn't have the row", nodetest.ID(i))
		}
	}
	v := c.Node(0).Store().View()
	if s := fsm.Settings(v); s.Cluster == "" {
		t.Error("the ready gate left no settings")
	}
	if _, ok := fsm.Users.Get(v, "admin"); !ok {
		t.Error("there is no first administrator")
	}
}

func TestSingleManager(t *testing.T) {
	c := nodetest.New(t, 1, func(_ int, cfg *node.Config) { cfg.Raft.Log = node.LogBolt; cfg.Join = nil })
	c.WaitReady()
	c.Update("put", put("shop"))
	c.Stop(0)
	n := c.Start(0)
	c.WaitLeader()
	if !has(n, "shop") {
		t.Error("the row is gone after a restart")
	}
}

// TestCrashDetection kills leaders with timers so long that only the end of
// the connection to the leader's process can explain how soon another leads.
func TestCrashDetection(t *testing.T) {
	c := nodetest.New(t, 3, func(_ int, cfg *node.Config) {
		cfg.Raft.HeartbeatTimeout, cfg.Raft.ElectionTimeout, cfg.Raft.LeaderLease = 3*time.Second, 3*time.Second, time.Second
	})
	var took []time.Duration
	for round := range 5 {
		c.WaitReady()
		leader := c.WaitLeader()
		c.WaitWatched(leader)
		c.Update("put", put(fmt.Sprintf("before%d", round)))
		begun := time.Now()
		c.Kill(leader)
		c.Update("put", put(fmt.Sprintf("after%d", round)))
		took = append(took, time.Since(begun))
		c.Gone()
		c.Start(leader)
	}
	t.Logf("kill to next acknowledged write: %v", took)
	// A vote may be split on a busy machine: then the timers decide.
	if slices.Sort(took); took[len(took)/2] > 2*time.Second {
		t.Errorf("it took %s; the timers alone take 3 s or more", took)
	}
}

func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.Update("put", put("shop"))
	for i := range 3 {
		c.Stop(i)
	}
	for i := range 3 {
		c.Start(i)
	}
	c.WaitLeader()
	c.WaitReady()
	for i := range 3 {
		if !has(c.Node(i), "shop") {
			t.Errorf("%s has lost the row", nodetest.ID(i))
		}
	}
}

// TestWipedManagerRejoins takes a manager's disk away. It must come back as
// itself, by the leader, and not make a second cluster.
func TestWipedManagerRejoins(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("put", put("shop"))
	cluster := fsm.Settings(c.Node(0).Store().View()).Cluster
	c.Kill(0)
	c.Wipe(0)
	c.WaitLeader()
	c.Start(0)
	c.WaitReady()
	c.Wait("the wiped manager to be a voter", func() bool { return c.Node(0).Self().Role != "nonvoter" })
	if !has(c.Node(0), "shop") {
		t.Error("the wiped manager hasn't got the rows back")
	}
	if got := fsm.Settings(c.Node(0).Store().View()).Cluster; got != cluster {
		t.Errorf("the wiped manager is in cluster %s, it was in %s", got, cluster)
	}
}

func TestManagerJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, func(i int, cfg *node.Config) {
		cfg.BootstrapExpect = 3
		if i == 3 {
			cfg.BootstrapExpect = 0
		}
	})
	c.Update("put", put("shop"))
	i := c.Add()
	n := c.Start(i)
	c.WaitReady()
	c.Wait("the new manager to vote", func() bool { return n.Self().Role == "voter" })
	nodes, err := n.Nodes(context30(t))
	if err != nil || len(nodes) != 4 {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	for _, m := range nodes {
		if !m.Alive || m.AppliedIndex == 0 || m.Address == "" {
			t.Errorf("node list has %v", m)
		}
	}
	if err := c.Leave(i); err != nil {
		t.Fatal(err)
	}
	c.Wait("the manager to be out", func() bool {
		nodes, err := c.Node(c.WaitLeader()).Nodes(context30(t))
		return err == nil && len(nodes) == 3
	})
	if _, ok := fsm.Managers.Get(c.Node(c.WaitLeader()).Store().View(), nodetest.ID(i)); ok {
		t.Error("the manager that left still has its row")
	}
	if _, err := os.Stat(filepath.Join(c.DataDir(i), "raft.left")); err != nil {
		t.Errorf("its data weren't put aside: %v", err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	leader := c.WaitLeader()
	l := c.Node(leader)
	if err := l.Remove(context30(t), "nobody"); schema.KindOf(err) != schema.KindNotFound {
		t.Errorf("removal of an unknown manager: %v", err)
	}
	if err := l.Remove(context30(t), nodetest.ID(leader)); schema.KindOf(err) != schema.KindConflict {
		t.Errorf("removal of the leader by itself: %v", err)
	}
	other := (leader + 1) % 3
	if err := l.Remove(context30(t), nodetest.ID(other)); err != nil {
		t.Fatal(err)
	}
	c.Wait("the removed manager to say so", func() bool {
		ok, why := c.Node(other).Ready()
		return !ok && why != ""
	})
	c.Update("put", put("shop"))
	c.Stop(other)
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	leader := c.WaitLeader()
	want := nodetest.ID((leader + 2) % 3)
	got, err := c.Node(leader).Transfer(context30(t), want)
	if err != nil || got != want {
		t.Fatalf("transfer gave %q, %v", got, err)
	}
	if _, err := c.Node(leader).Transfer(context30(t), ""); schema.KindOf(err) != schema.KindNoLeader {
		t.Errorf("transfer by a follower: %v", err)
	}
	c.Wait("the new leader", func() bool { return c.Leader() == (leader+2)%3 })
}

func TestSnapshotSaveAndRestore(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.Update("put", put("before"))
	c.Check()
	file, err := os.Create(filepath.Join(t.TempDir(), "backup"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := c.Node(0).SaveSnapshot(context30(t), file); err != nil {
		t.Fatal(err)
	}
	res := c.Update("put", put("after"))
	rewind := func() {
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	// A file that was cut changes nothing.
	rewind()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	leader := c.Node(c.WaitLeader())
	drill := fsm.Why{User: "tanaka", From: "192.0.2.1", Op: "RestoreSnapshot", Reason: "drill"}
	if err := leader.RestoreSnapshot(context30(t), drill, io.LimitReader(file, info.Size()-9)); schema.KindOf(err) != schema.KindCorrupt {
		t.Errorf("restore of a file that was cut: %v", err)
	}
	if !has(leader, "after") {
		t.Error("a refused restore has changed the state")
	}
	c.Wait("the restore", func() bool {
		rewind() // on a busy machine the leader may lose its office in the middle of it
		err := c.Node(c.WaitLeader()).RestoreSnapshot(context30(t), drill, file)
		if k := schema.KindOf(err); err != nil && k != schema.KindNoLeader && k != schema.KindOutcomeUnknown {
			t.Fatal(err)
		}
		return err == nil
	})
	c.Check()
	if last, _ := fsm.Audits.Last(leader.Store().View()); last.GetUser() != drill.User || last.GetOp() != drill.Op || last.GetReason() != drill.Reason {
		t.Errorf("the audit trail ends with %v", last)
	}
	for i := range 3 {
		n := c.Node(i)
		if has(n, "after") || !has(n, "before") {
			t.Errorf("%s doesn't have the state of the backup", nodetest.ID(i))
		}
		if err := n.Store().WaitIndex(context30(t), res.Index); err != nil {
			t.Errorf("the index has gone back: %v", err)
		}
	}
	c.Update("put", put("later"))
}

// TestFollowerGetsSnapshot keeps a follower away until the leader has dropped
// the log entries that it lacks. The follower takes no snapshots itself after
// that, so the one that it has in the end came from the leader. Bolt is the log
// here, since raft-wal drops whole segments only.
func TestFollowerGetsSnapshot(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, func(_ int, cfg *node.Config) {
		cfg.Raft.Log = node.LogBolt
		cfg.Raft.SnapshotInterval, cfg.Raft.SnapshotThreshold, cfg.Raft.TrailingLogs = 10*time.Millisecond, 30, 5
	})
	c.WaitReady()
	snapshots := func(i int) int {
		names, err := filepath.Glob(filepath.Join(c.DataDir(i), "raft", "snapshots", "*", "state.bin"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	away := (c.WaitLeader() + 1) % 3
	c.Kill(away)
	if snapshots(away) != 0 {
		t.Fatal("the follower has a snapshot already")
	}
	rows := 0
	c.Wait("two snapshots", func() bool {
		c.Update("put", put(fmt.Sprintf("row%d", rows)))
		rows++
		return rows > 100 && snapshots(c.WaitLeader()) >= 2
	})
	c.Gone()
	c.Edit(func(_ int, cfg *node.Config) {
		cfg.Raft.Log, cfg.Raft.SnapshotThreshold = node.LogBolt, 1e6
	})
	n := c.Start(away)
	c.WaitReady()
	c.Check()
	if snapshots(away) != 1 {
		t.Error("the follower got no snapshot")
	}
	if !has(n, fmt.Sprintf("row%d", rows-1)) {
		t.Error("the follower lacks the last row")
	}
}

// TestNoQuorum checks what a manager without a majority says.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("put", put("shop"))
	leader := c.WaitLeader()
	c.Kill((leader + 1) % 3)
	c.Kill((leader + 2) % 3)
	n := c.Node(leader)
	c.Wait("the leader to step down", func() bool { return !n.Leader().Self })
	if _, err := n.Store().Update(context30(t), fsm.Why{Op: "put"}, put("lost")); schema.KindOf(err) != schema.KindNoLeader {
		t.Errorf("a write without quorum: %v", err)
	}
	if _, err := n.ReadIndex(context30(t)); schema.KindOf(err) != schema.KindNoLeader {
		t.Errorf("a linear read without quorum: %v", err)
	}
	if !has(n, "shop") {
		t.Error("stale reads don't work")
	}
	c.Gone()
	c.Start((leader + 1) % 3)
	c.WaitLeader()
	c.Update("put", put("again"))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := nodetest.Prepare(t, 2, nil)
	start := func(change func(*node.Config)) error {
		cfg := c.Config(0)
		change(&cfg)
		ctx, cancel := context.WithTimeout(context.Background(), nodetest.Bound)
		defer cancel()
		n, err := node.Start(ctx, cfg)
		if err == nil {
			err = errors.Join(errors.New("it started"), n.Shutdown(ctx))
		}
		return err
	}
	for what, change := range map[string]func(*node.Config){
		"another's certificate": func(cfg *node.Config) { cfg.NodeID = "node7" },
		"no key":                func(cfg *node.Config) { cfg.TLS.Key = cfg.TLS.Cert },
		"short cluster key":     func(cfg *node.Config) { cfg.ClusterKeyFile = cfg.Admin.PasswordFile },
		"unknown log":           func(cfg *node.Config) { cfg.Raft.Log = "paper" },
	} {
		if err := start(change); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.Start(0)
	if err := start(func(cfg *node.Config) { cfg.Bind, cfg.Advertise = c.Hosts[1], c.Hosts[1] }); schema.KindOf(err) != schema.KindConflict {
		t.Errorf("a second process on one data directory: %v", err)
	}
	c.Stop(0)
}

// TestAcknowledgedWritesSurvive writes while leaders are killed, cut off and
// cut off in one direction only.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	faults := []func(i int){
		func(i int) { c.Kill(i) },
		func(i int) { c.Net.Isolate(i) },
		func(i int) { c.Net.CutOneWay(i, (i+1)%3); c.Net.CutOneWay(i, (i+2)%3) },
		func(i int) { c.Net.CutOneWay((i+1)%3, i); c.Net.CutOneWay((i+2)%3, i) },
	}
	acked := 0
	for round, fault := range faults {
		leader := c.WaitLeader()
		for range 5 {
			c.Update("put", put(fmt.Sprintf("row%d", acked)))
			acked++
		}
		fault(leader)
		c.Wait(fmt.Sprintf("another leader in round %d", round), func() bool {
			l := c.Leader()
			return l >= 0 && l != leader
		})
		for range 5 {
			c.Update("put", put(fmt.Sprintf("row%d", acked)))
			acked++
		}
		c.Net.Heal()
		if c.Node(leader) == nil {
			c.Gone()
			c.Start(leader)
		}
		c.WaitReady()
	}
	c.Check()
	for i := range 3 {
		for r := range acked {
			if !has(c.Node(i), fmt.Sprintf("row%d", r)) {
				t.Errorf("%s has lost row%d", nodetest.ID(i), r)
			}
		}
	}
}
