package node

import (
	"log/slog"
	"os"
	"testing"

	"github.com/hashicorp/raft"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func entry(i uint64) *raft.Log {
	return &raft.Log{Index: i, Term: 1, Type: raft.LogCommand, Data: []byte("x")}
}

func TestPromiseIsKept(t *testing.T) {
	dir := t.TempDir()
	if p, err := loadPromise(dir); p != nil || err != nil {
		t.Fatalf("a new directory has promise %v, %v", p, err)
	}
	p := &promise{Servers: []promiseServer{{"n1", "192.0.2.1:1"}, {"n2", "192.0.2.2:1"}}}
	if err := p.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadPromise(dir)
	if err != nil || got.fingerprint() != p.fingerprint() {
		t.Errorf("read back as %v, %v", got, err)
	}
	other := &promise{Servers: []promiseServer{{"n1", "192.0.2.1:1"}, {"n3", "192.0.2.2:1"}}}
	if other.fingerprint() == p.fingerprint() {
		t.Error("two sets have one fingerprint")
	}
	if err := os.WriteFile(promiseFile(dir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPromise(dir); err == nil {
		t.Error("a damaged promise is taken")
	}
}

// TestTooManyForOneCluster: four new managers expect three. Which three would
// depend on who sees whom, so none may promise anything.
func TestTooManyForOneCluster(t *testing.T) {
	n := &Node{cfg: Config{DataDir: t.TempDir(), BootstrapExpect: 3}}
	var alive []meta
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		alive = append(alive, meta{ID: id, Raft: id, State: stateNew, Expect: 3})
	}
	if err := n.tryBootstrap(alive); err == nil || n.promise != nil {
		t.Errorf("promise %v, %v", n.promise, err)
	}
	if err := n.tryBootstrap(alive[:2]); err == nil || n.promise != nil {
		t.Errorf("with too few: promise %v, %v", n.promise, err)
	}
}
