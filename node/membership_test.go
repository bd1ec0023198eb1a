package node_test

import (
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/node"
	"yagura/node/nodetest"
)

// says waits until manager i isn't ready for a reason that contains text.
func says(c *nodetest.Cluster, i int, text string) {
	c.T.Helper()
	why := ""
	c.Wait(nodetest.ID(i)+" to say "+text, func() (ok bool) {
		ok, why = c.Node(i).Ready()
		return !ok && strings.Contains(why, text)
	})
}

func TestBootstrapWaitsForAll(t *testing.T) {
	t.Parallel()
	c := nodetest.Prepare(t, 3, nil)
	c.Start(0)
	says(c, 0, "1 of 3")
	c.Start(1)
	says(c, 0, "2 of 3")
	// A manager that is started anew in between makes no difference.
	c.Stop(1)
	c.Start(1)
	c.Start(2)
	c.WaitLeader()
	c.WaitReady()
}

func TestDifferentExpectations(t *testing.T) {
	t.Parallel()
	c := nodetest.Prepare(t, 2, func(i int, cfg *node.Config) { cfg.BootstrapExpect = 2 + i })
	for i := range 2 {
		c.Start(i)
	}
	for i := range 2 {
		says(c, i, "give all of them the same")
	}
	if c.Leader() >= 0 {
		t.Error("a cluster has come about")
	}
}

// TestLeaveOnStop takes a manager out by stopping it, and lets it come back as a new one.
func TestLeaveOnStop(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, func(_ int, cfg *node.Config) { cfg.LeaveOnStop = true })
	c.WaitReady()
	c.Update("put", put("shop"))
	leader := c.WaitLeader()
	c.Stop(leader)
	rest := c.WaitLeader()
	c.Wait("the manager to be out", func() bool {
		nodes, err := c.Node(rest).Nodes(context30(t))
		return err == nil && len(nodes) == 2
	})
	n := c.Start(leader)
	c.Wait("the manager to vote again", func() bool { return n.Self().Role != "nonvoter" && has(n, "shop") })
	c.WaitReady()
	if got := fsm.Managers.Len(n.Store().View()); got != 3 {
		t.Errorf("there are %d managers", got)
	}
	c.Edit(nil)
}
