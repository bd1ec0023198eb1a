package node

import "testing"

func TestTurnsOfCandidates(t *testing.T) {
	voters := []string{"node3", "node1", "node2"}
	for _, c := range []struct {
		id       string
		caughtUp bool
		want     int
	}{
		{"node1", true, 0}, {"node2", true, 1}, {"node3", true, 2},
		// Who replays its log gives way to all others, and has a turn of its own if they do the same.
		{"node1", false, 3}, {"node2", false, 4}, {"node3", false, 5},
		{"node4", true, -1}, {"node4", false, -1}, // no voter
	} {
		if got := turn(voters, c.id, c.caughtUp); got != c.want {
			t.Errorf("%s, caught up %v, has turn %d, want %d", c.id, c.caughtUp, got, c.want)
		}
	}
}
