package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"yagura/placement"
)

func TestGeneratedClustersAreValidAndRepeatable(t *testing.T) {
	for _, s := range []spec{{servers: 20, vms: 200, seed: 1, load: true}, {servers: 50, vms: 800, seed: 2, mixed: true, level: true, apart: true}} {
		p := generate(s)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(p, generate(s)) {
			t.Errorf("%+v: the second is another cluster", s)
		}
		if s.apart && len(p.Rules) == 0 {
			t.Error("nothing is kept apart")
		}
	}
}

// The peers must be given the same cluster as placement.
func TestGanetiFilesHoldTheSameCluster(t *testing.T) {
	p := generate(spec{servers: 10, vms: 100, seed: 3, load: true})
	path := filepath.Join(t.TempDir(), "c")
	if err := writeGaneti(p, path); err != nil {
		t.Fatal(err)
	}
	data, err := os.Open(path + ".data")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	util, err := os.Open(path + ".util")
	if err != nil {
		t.Fatal(err)
	}
	defer util.Close()
	again, err := placement.ParseGaneti(data, util)
	if err != nil {
		t.Fatal(err)
	}
	again.Settings = p.Settings
	if !reflect.DeepEqual(p, again) {
		t.Errorf("read back %+v, want %+v", again.Servers[0], p.Servers[0])
	}
}

func TestGreedyFreesWhatFits(t *testing.T) {
	p := generate(spec{servers: 10, vms: 60, seed: 4})
	if n := greedyFreed(p, 1000); n < 3 {
		t.Errorf("greedy frees %d of 10 servers that are a third full", n)
	}
	if n := greedyFreed(p, 0); n != 0 {
		t.Errorf("greedy frees %d servers without a move", n)
	}
}
