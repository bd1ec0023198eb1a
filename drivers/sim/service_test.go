package sim

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// TestServicesFollowTheirVolumes holds that a host answers where its volume is,
// while that machine is up and its port is in the VLAN.
func TestServicesFollowTheirVolumes(t *testing.T) {
	cfg := quick()
	pid := os.Getpid()
	ip := fmt.Sprintf("127.%d.%d.1", 160+(pid>>8)%60, pid%256)
	cfg.ServiceAddr = ip + ":15432"
	e := start(t, cfg)
	answers := func() bool {
		c, err := net.Dial("tcp", cfg.ServiceAddr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	c, err := Dial(e.sim.cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	do := func(msg string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(msg, err)
		}
	}
	if !answers() {
		t.Fatal("db01 doesn't answer at the start")
	}
	do(c.HostDown(e.ctx, "ph01", true))
	e.eventually("db01 is silent", func() bool { return !answers() })
	do(c.HostUp(e.ctx, "ph01"))
	e.eventually("db01 is back", answers)
	do(c.ArrayDisconnect(e.ctx, "", "db01-data", Initiator("ph01"), ""))
	e.eventually("db01 is silent without its volume", func() bool { return !answers() })
	do(c.ArrayConnect(e.ctx, "", "db01-data", Initiator("ph02"), ""))
	e.eventually("db01 answers on ph02", answers)

	w := DemoWorld()
	w.Services[0].Volume = "nothing"
	if _, err := w.layout(); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a service on a volume that isn't there: %v", err)
	}
}
