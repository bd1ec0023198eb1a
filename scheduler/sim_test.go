package scheduler_test

import (
	"flag"
	"fmt"
	"testing"

	"yagura/scheduler/schedulertest"
)

var simSeeds = flag.Uint64("sim.seeds", 12, "how many random courses TestSim takes")

func TestSim(t *testing.T) {
	for seed := range *simSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			schedulertest.Sim(t, seed)
		})
	}
}
