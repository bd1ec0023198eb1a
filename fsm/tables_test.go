package fsm

import (
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// TestTableNumbers pins the numbers: they stand in every log and snapshot. A new
// table is appended here and in tables.go; nothing else may ever change.
func TestTableNumbers(t *testing.T) {
	want := []string{
		"category", "group", "model", "host", "machine", "subsystem", "software", "policy", "trap-rule", "event",
		"job", "step", "lock", "user", "token", "manager", "audit", "intake", "request", "settings",
		"vlan", "load-balancer", "receiver", "notice", "snmp-user", "position",
	}
	numbers := map[uint32]string{}
	for i, name := range want {
		numbers[uint32(i+1)] = name
	}
	if len(tables) != len(numbers) {
		t.Fatalf("%d tables, %d are pinned", len(tables), len(numbers))
	}
	for _, table := range tables {
		if table.Name() != numbers[table.Number()] {
			t.Errorf("table %s has number %d, pinned for it is %q", table.Name(), table.Number(), numbers[table.Number()])
		}
		if table.Number() >= 64 {
			t.Errorf("table %s: Watch has a bit for numbers below 64 only", table.Name())
		}
	}
}

// TestApplyIsDeterministic holds that the files which Apply runs through can
// reach neither a clock nor chance nor the machine that they run on.
func TestApplyIsDeterministic(t *testing.T) {
	forbidden := map[string]bool{
		"time": true, "math/rand": true, "math/rand/v2": true, "crypto/rand": true, "os": true, "net": true, "os/exec": true, "maps": true,
	}
	for _, name := range []string{"fsm.go", "batch.go", "digest.go", "snapshot.go", "table.go", "tables.go", "rows.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if path, err := strconv.Unquote(imp.Path.Value); err != nil || forbidden[path] {
				t.Errorf("%s imports %s (%v)", name, imp.Path.Value, err)
			}
		}
	}
}
