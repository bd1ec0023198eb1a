package storagecli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

// Initiators of three machines, in the form of the machine's rows.
const (
	oldWWPN  = "10:00:00:00:c9:20:b4:84"
	newWWPN  = "10:00:00:00:c9:39:a0:2b"
	pairWWPN = "10:00:00:00:c9:39:a0:2c" // second port of a host "pair"
)

// tools are the options of each family for the recorded tools, and two volumes.
var tools = map[string]struct {
	options map[string]string
	volumes [2]string
	sets    [2]string // of the two machines
}{
	"istorage":  {map[string]string{}, [2]string{"LD01", "LD02"}, [2]string{"LX:old", "LX:new"}},
	"symmetrix": {map[string]string{"array": "000187900035"}, [2]string{"0021", "00A4"}, [2]string{"-", "-"}},
	"clarix":    {map[string]string{"sp": "10.0.0.1", "secfile": "/etc/yagura/navi"}, [2]string{"db01", "db02"}, [2]string{"host01", "host03"}},
	"custom": {map[string]string{
		"list": "sitetool list", "connect": "sitetool on {volume} {initiator}", "disconnect": "sitetool off {volume} {initiator}",
	}, [2]string{"db01-data", "db02-data"}, [2]string{"-", "-"}},
}

// recorded makes a fresh array of a family and says how to reach it.
func recorded(t *testing.T, family string) (dir string, cfg Config) {
	t.Helper()
	dir = t.TempDir()
	bin, err := filepath.Abs("testdata/bin")
	if err != nil {
		t.Fatal(err)
	}
	x := tools[family]
	for file, lines := range map[string][]string{
		"volumes": x.volumes[:], "masks": nil, "sessions": nil, "effects": nil, "calls": nil,
		"sets": {x.sets[0] + " " + oldWWPN, x.sets[1] + " " + newWWPN, "pair " + pairWWPN, "pair 10:00:00:00:c9:39:a0:2d"},
	} {
		write(t, dir, file, lines...)
	}
	t.Setenv("ARRAY_STATE", dir)
	options := maps.Clone(x.options)
	options["family"], options["bin"] = family, bin
	return dir, Config{Name: "array1", Options: options}
}

func write(t *testing.T, dir, file string, lines ...string) {
	t.Helper()
	text := strings.Join(lines, "\n")
	if len(lines) > 0 {
		text += "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, dir, file string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(data), "\n"), func(s string) bool { return s == "" })
}

func open(t *testing.T, cfg Config) *Driver {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStorageConformance(t *testing.T) {
	for _, family := range slices.Sorted(maps.Keys(tools)) {
		t.Run(family, func(t *testing.T) {
			t.Logf("real part: recorded tools of family %s in testdata/bin", family)
			drivertest.RunStorage(t, func(t *testing.T) drivertest.StorageWorld {
				dir, cfg := recorded(t, family)
				w := drivertest.StorageWorld{
					Open:    func(t *testing.T) drivers.Storage { return open(t, cfg) },
					Volumes: tools[family].volumes,
					Old:     []string{oldWWPN}, New: []string{newWWPN},
					Silence: func(t *testing.T) { write(t, dir, "silent") },
					Effects: func(t *testing.T, op, object string) int {
						n := 0
						for _, l := range lines(t, dir, "effects") {
							if did, on, _ := strings.Cut(l, " "); (op == "" || did == op) && (object == "" || on == object) {
								n++
							}
						}
						return n
					},
				}
				if family == "custom" {
					w.Session = func(t *testing.T, volume, initiator string) { write(t, dir, "sessions", volume+" "+initiator) }
				}
				return w
			})
		})
	}
}

func fails(t *testing.T, k drivers.Kind, what, word string, err error) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != k || !strings.Contains(err.Error(), word) {
		t.Errorf("%s: %v, want %s with %q", what, err, k, word)
	}
}

func TestToolThatFails(t *testing.T) {
	ctx := context.Background()
	for family, x := range tools {
		dir, cfg := recorded(t, family)
		d := open(t, cfg)
		write(t, dir, "refuse")
		_, err := d.Connect(ctx, drivers.Call{}, x.volumes[0], []string{oldWWPN}, false)
		fails(t, drivers.KindFailed, family, "locked by another session", err)
		if got := lines(t, dir, "effects"); len(got) > 0 {
			t.Errorf("%s: %v", family, got)
		}
	}
}

func TestToolsThatDontRun(t *testing.T) {
	ctx := context.Background()
	_, bare := recorded(t, "symmetrix")
	bare.Options["bin"] = t.TempDir()
	_, err := open(t, bare).Volumes(ctx)
	fails(t, drivers.KindUnreachable, "no tools", "option bin", err)

	dir, cfg := recorded(t, "custom")
	cfg.Options["list"], cfg.Options["timeout"] = "sitetool hang", "1"
	_, err = open(t, cfg).Volumes(ctx)
	fails(t, drivers.KindUnreachable, "a tool that hangs", "ended after its time", err)

	cfg.Options["list"] = "sitetool flood"
	cfg.Options["timeout"] = "60"
	_, err = open(t, cfg).Volumes(ctx)
	fails(t, drivers.KindUnreachable, "a tool that floods", "more than", err)

	cfg.Options["list"], cfg.Options["connect"] = "sitetool list", "sitetool hang {volume}"
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { // the caller gives up when the change is under way
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "hanging")); err == nil {
				return
			}
			<-tick.C
		}
	})
	_, err = open(t, cfg).Connect(ctx, drivers.Call{}, "db01-data", []string{oldWWPN}, false)
	fails(t, drivers.KindUnknown, "a change that hangs", "ended after its time", err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestCredentialsAreInTheEnvironmentOnly(t *testing.T) {
	dir, cfg := recorded(t, "custom")
	cfg.User, cfg.Password = "admin", "s3cret"
	cfg.Options["list"] = "sitetool who"
	_, err := open(t, cfg).Volumes(context.Background())
	fails(t, drivers.KindUnreachable, "a tool that tells the password", "admin:***", err)
	if strings.Contains(strings.Join(lines(t, dir, "calls"), "\n"), "s3cret") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password is in the words or in the error: %v", err)
	}
}

func TestCommitIsRepeatedUntilItSucceeds(t *testing.T) {
	ctx := context.Background()
	dir, cfg := recorded(t, "symmetrix")
	d := open(t, cfg)
	write(t, dir, "unrefreshed")
	_, err := d.Connect(ctx, drivers.Call{}, "0021", []string{oldWWPN}, false)
	fails(t, drivers.KindUnknown, "masked and not refreshed", "directors", err)
	_, err = d.Connect(ctx, drivers.Call{}, "0021", []string{oldWWPN}, false)
	fails(t, drivers.KindUnknown, "asked again", "directors", err)
	if err := os.Remove(filepath.Join(dir, "unrefreshed")); err != nil {
		t.Fatal(err)
	}
	if _, err = d.Connect(ctx, drivers.Call{}, "0021", []string{oldWWPN}, false); err != nil {
		t.Error(err)
	}
	if got := lines(t, dir, "effects"); len(got) != 1 {
		t.Errorf("the effects are %v", got)
	}
}

func TestSetsOfInitiators(t *testing.T) {
	ctx := context.Background()
	dir, cfg := recorded(t, "clarix")
	d := open(t, cfg)
	_, err := d.Connect(ctx, drivers.Call{}, "db01", []string{"10:00:00:00:c9:00:00:01"}, false)
	fails(t, drivers.KindRefused, "an initiator that the array doesn't know", "register it", err)
	_, err = d.Connect(ctx, drivers.Call{}, "db01", []string{pairWWPN}, false)
	fails(t, drivers.KindRefused, "a host that has an initiator beside the machine's", "10:00:00:00:c9:39:a0:2d", err)
	both := []string{pairWWPN, "10:00:00:00:c9:39:a0:2d"}
	if _, err := d.Connect(ctx, drivers.Call{}, "db01", both, false); err != nil {
		t.Fatal(err)
	}
	if v, err := d.Volume(ctx, "db01"); err != nil || !slices.Equal(v.Initiators, both) {
		t.Errorf("both ports of the host: %+v, %v", v, err)
	}
	n := 0
	for _, c := range lines(t, dir, "calls") {
		if strings.Contains(c, "-connecthost") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the host was connected %d times", n)
	}
	_, err = d.Connect(ctx, drivers.Call{}, "db02", both, true)
	fails(t, drivers.KindRefused, "a second storage group of a host", "db01, which it would lose", err)
}

func TestMachineWithBothKindsOfInitiators(t *testing.T) {
	ctx := context.Background()
	const iscsi = "iqn.2026-01.example:old"
	for _, family := range []string{"clarix", "istorage", "symmetrix"} {
		dir, cfg := recorded(t, family)
		d, v := open(t, cfg), tools[family].volumes[0]
		if _, err := d.Connect(ctx, drivers.Call{}, v, []string{iscsi, oldWWPN}, false); err != nil {
			t.Errorf("%s: %v", family, err)
		}
		if got := lines(t, dir, "effects"); !slices.Equal(got, []string{"connect " + v + " " + oldWWPN}) {
			t.Errorf("%s: the effects are %v", family, got)
		}
		if _, err := d.Disconnect(ctx, drivers.Call{}, v, []string{iscsi, oldWWPN}); err != nil {
			t.Errorf("%s: %v", family, err)
		}
		_, err := d.Connect(ctx, drivers.Call{}, v, []string{iscsi}, false)
		fails(t, drivers.KindRefused, family+", none that it speaks", iscsi, err)
		// A second port of the same kind that isn't registered is a mistake, not another kind.
		if family != "symmetrix" {
			_, err = d.Connect(ctx, drivers.Call{}, v, []string{oldWWPN, "10:00:00:00:c9:00:00:01"}, false)
			fails(t, drivers.KindRefused, family+", one port unknown", "c9:00:00:01", err)
		}
	}
}

func TestSymmetrixRanges(t *testing.T) {
	fs, err := families()
	if err != nil {
		t.Fatal(err)
	}
	s := &settings{family: fs["symmetrix"], values: map[string]string{"array": "1", "dir": "all", "port": "all"}}
	if err := s.compile(); err != nil {
		t.Fatal(err)
	}
	a := newArray()
	text := "<originator_port_wwn>10000000c920b484</originator_port_wwn>\n<Device>\n<start_dev>00FE</start_dev>\n<end_dev>%s</end_dev>\n"
	if err := a.read(s.Read[1].Lines, strings.Replace(text, "%s", "0101", 1)); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(a.connected)); !slices.Equal(got, []string{"00FE", "00FF", "0100", "0101"}) {
		t.Errorf("the range is %v", got)
	}
	for _, bad := range []string{"00FD", "FFFFFF"} {
		if err := newArray().read(s.Read[1].Lines, strings.Replace(text, "%s", bad, 1)); err == nil {
			t.Errorf("a range that ends at %s is taken", bad)
		}
	}
}

func TestBadSettings(t *testing.T) {
	ok := map[string]string{"family": "custom", "list": "a", "connect": "b", "disconnect": "c"}
	with := func(key, value string) map[string]string {
		m := maps.Clone(ok)
		m[key] = value
		return m
	}
	if _, err := Open(Config{Options: with("via", "ssh admin@array")}); err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{Address: "array:443", Options: ok}); err == nil {
		t.Error("an address is taken")
	}
	for _, bad := range []map[string]string{
		nil, {"family": "unheard-of"}, {"family": "symmetrix"}, {"family": "clarix", "sp": "1"}, {"family": "custom", "list": "a"},
		with("lists", "x"), with("timeout", "0"), with("timeout", "x"), with("match_volume", "("), with("match_volume", "(.*)"),
		with("match_connected", "(?P<volume>.*)"), with("connect", "x {unheard}"), with("list", "x {volume}"), with("connect", " "),
	} {
		if _, err := Open(Config{Options: bad}); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
