package sim

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/storagecli"
)

// toolEnv makes the test's own program the array's tool: it then names the
// state directory.
const toolEnv = "YAGURA_TEST_ARRAY_TOOL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(toolEnv); dir != "" {
		os.Exit(arrayTool(dir, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// arrayTool does what `pvmd sim array` does.
func arrayTool(dir string, args []string) int {
	ctx := context.Background()
	c, err := Dial(dir)
	var msg string
	switch {
	case err != nil:
	case len(args) == 1:
		msg, err = c.ArrayList(ctx, "")
	case args[0] == "connect":
		msg, err = c.ArrayConnect(ctx, "array1", args[1], args[2], os.Getenv("STORAGE_TOKEN"))
	default:
		msg, err = c.ArrayDisconnect(ctx, "array1", args[1], args[2], os.Getenv("STORAGE_TOKEN"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(msg)
	return 0
}

func openArray(t *testing.T, dir string) *storagecli.Driver {
	t.Helper()
	t.Setenv(toolEnv, dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or the tool takes a second to end under the race detector
	d, err := storagecli.Open(storagecli.Config{Name: "array1", Options: map[string]string{
		"family": "custom", "list": os.Args[0] + " list",
		"connect": os.Args[0] + " connect {volume} {initiator}", "disconnect": os.Args[0] + " disconnect {volume} {initiator}",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStorageConformance(t *testing.T) {
	drivertest.RunStorage(t, func(t *testing.T) drivertest.StorageWorld {
		s, dir := startSmall(t)
		return drivertest.StorageWorld{
			Open:    func(t *testing.T) drivers.Storage { return openArray(t, dir) },
			Volumes: [2]string{"db01-data", "db02-data"},
			Old:     []string{Initiator("ph01")}, New: []string{Initiator("ph03")},
			Session: func(t *testing.T, _, _ string) { powerOnMachine(t, s, "ph01") },
			Silence: func(t *testing.T) {
				if _, err := s.HostDown("array1", false); err != nil {
					t.Fatal(err)
				}
			},
			Effects: func(t *testing.T, op, object string) int { return effects(t, s, "array1", op, object) },
		}
	})
}

func powerOnMachine(t *testing.T, s *Sim, name string) {
	t.Helper()
	if _, err := s.HostUp(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func TestArrayKeepsAccounts(t *testing.T) {
	ctx := context.Background()
	s, dir := startSmall(t)
	d := openArray(t, dir)
	old, other := Initiator("ph01"), Initiator("ph03")
	powerOnMachine(t, s, "ph01")
	if _, err := d.Connect(ctx, drivers.Call{Token: "t1"}, "db01-data", []string{old}, false); err != nil {
		t.Fatal(err)
	}
	// A caller that calls the volume shared gets it, and the ledger says what that is.
	if _, err := d.Connect(ctx, drivers.Call{Token: "t2"}, "db01-data", []string{other}, true); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.System != "array1" })
	if len(entries) != 2 || entries[0].Token != "t1" || entries[0].Detail != "" || entries[1].Token != "t2" ||
		!strings.HasPrefix(entries[1].Detail, "VIOLATION") || entries[1].Object != "db01-data "+other {
		t.Errorf("the ledger has %+v", entries)
	}
	st := s.Status().Arrays
	if len(st) != 1 || !slices.Equal(st[0].Volumes[0].Initiators, []string{old, other}) || !slices.Equal(st[0].Volumes[0].Sessions, []string{old}) {
		t.Errorf("the status is %+v", st)
	}
	if _, err := s.Fail("disconnect", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{old}); drivers.KindOf(err) != drivers.KindFailed {
		t.Errorf("a failure that was put in: %v", err)
	}
	if _, err := d.Disconnect(ctx, drivers.Call{}, "db01-data", []string{old}); err != nil {
		t.Error(err)
	}
}
