package fake_test

import (
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestEventSourceConformance(t *testing.T) {
	drivertest.RunEventSource(t, func(*testing.T) drivertest.EventWorld {
		w := fake.Demo(fake.Options{})
		return drivertest.EventWorld{
			Open:   func(*testing.T) drivers.EventSource { return w.Hypervisor() },
			Server: "esx02", VM: "web01",
			Alarm:    func(_ *testing.T, object, alarm, from, to string) { w.Alarm(object, alarm, from, to) },
			HostDown: func(_ *testing.T, server string) { w.HostDown(server, false) },
			HostUp:   func(_ *testing.T, server string) { w.HostUp(server) },
		}
	})
}

// A VM server in standby isn't lost, and its keys begin anew with a new database.
func TestEventsOfStandbyAndOfANewDatabase(t *testing.T) {
	w := fake.Demo(fake.Options{})
	h := w.Hypervisor()
	w.HostStandby("esx04")
	if end, err := h.EventsEnd(t.Context()); err != nil || end.Key != 0 {
		t.Fatalf("after a standby the history ends at %+v, %v", end, err)
	}
	w.HostIsolated("esx03")
	before, err := h.EventsEnd(t.Context())
	if err != nil || before.Key != 2 {
		t.Fatalf("after a loss the history ends at %+v, %v", before, err)
	}
	w.ClearEvents()
	w.HostUp("esx03")
	w.Alarm("web01", "Virtual Machine CPU Usage", "green", "yellow")
	if end, err := h.EventsEnd(t.Context()); err != nil || end.Key != 3 || end.History != before.History {
		t.Fatalf("the new history ends at %+v, %v", end, err)
	}
}
