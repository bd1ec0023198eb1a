package node_test

import (
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
)

// put writes one row, as a stand-in for any write.
func put(name string) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		return fsm.Categories.Put(tx, &schema.Category{Path: name})
	}
}

func TestClusterElectsAndReplicates(t *testing.T) {
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("put", put("shop"))
	c.Check()
	for i := range 3 {
		if _, ok := fsm.Categories.Get(c.Node(i).Store().View(), "shop"); !ok {
			t.Errorf("%s doesn't have the row", nodetest.ID(i))
		}
	}
}
