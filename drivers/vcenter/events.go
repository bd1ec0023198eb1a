package vcenter

import (
	"context"
	"time"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

const (
	// eventLate is how much later than a newer one an event may appear in the
	// history: so long before a position it is read again.
	eventLate = time.Minute
	// defaultEventLife is how long one collector is read. It is bound to the time
	// from which it was made; a new one notices when vCenter's clock was set back.
	defaultEventLife = 10 * time.Minute
)

// eventTypes are the events that are read, by their class in the vSphere API.
var eventTypes = []string{
	"AlarmStatusChangedEvent", "HostConnectionLostEvent", "HostDisconnectedEvent", "HostConnectedEvent", "VmDisconnectedEvent", "VmConnectedEvent",
}

var _ drivers.EventSource = (*Driver)(nil)

// EventsEnd implements drivers.EventSource.
func (d *Driver) EventsEnd(ctx context.Context) (drivers.EventPosition, error) {
	var out drivers.EventPosition
	err := d.do(ctx, request{"events-end", "history of events", false}, func(ctx context.Context, c *vim25.Client) error {
		now, err := methods.GetCurrentTime(ctx, c)
		if err != nil {
			return err
		}
		out = drivers.EventPosition{History: c.ServiceContent.About.InstanceUuid, Time: *now, Now: *now}
		// All events count: those that aren't read have keys of the same numbering.
		h, err := event.NewManager(c).CreateCollectorForEvents(ctx, types.EventFilterSpec{MaxCount: drivers.EventPage, DisableFullMessage: types.NewBool(true)})
		if err != nil {
			return err
		}
		defer d.discard(ctx, h.Destroy)
		latest, err := h.LatestPage(ctx)
		for _, e := range latest {
			if e := e.GetEvent(); int64(e.Key) > out.Key {
				out.Key, out.Time = int64(e.Key), e.CreatedTime
			}
		}
		return err
	})
	return out, err
}

// Events implements drivers.EventSource. It asks a collector of its own for the
// next events at short intervals, which costs vCenter less than property updates
// that carry whole pages, and destroys it: vCenter has few of them.
func (d *Driver) Events(ctx context.Context, since drivers.EventPosition, fn func([]drivers.Event) error) error {
	f := &eventFollower{d: d, from: since.Time, fn: fn, request: request{"events", "history of events", false}}
	for {
		err := f.collector(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// eventFollower is one running Events.
type eventFollower struct {
	d       *Driver
	from    time.Time // time of the newest event told, by vCenter's clock
	fn      func([]drivers.Event) error
	request request
}

// collector reads one collector until its life is over.
func (f *eventFollower) collector(ctx context.Context) error {
	var h *event.HistoryCollector
	err := f.d.do(ctx, f.request, func(ctx context.Context, c *vim25.Client) error {
		now, err := methods.GetCurrentTime(ctx, c)
		if err != nil {
			return err
		}
		begin := f.from
		if now.Before(begin) {
			begin = *now
		}
		begin = begin.Add(-eventLate)
		h, err = event.NewManager(c).CreateCollectorForEvents(ctx, types.EventFilterSpec{
			EventTypeId: eventTypes, Time: &types.EventFilterSpecByTime{BeginTime: &begin}, DisableFullMessage: types.NewBool(false),
		})
		return err
	})
	if err != nil {
		return err
	}
	defer f.d.discard(ctx, h.Destroy)
	life := time.NewTimer(f.d.cfg.eventLife)
	defer life.Stop()
	look := time.NewTicker(f.d.cfg.EventPause)
	defer look.Stop()
	for {
		n, err := f.page(ctx, h)
		if err != nil {
			if _, lost := faultOf(err).(*types.NotAuthenticated); lost {
				// The session ended, and with it the collector: the account is still good.
				return f.d.errorf(drivers.KindUnreachable, f.request, "vCenter ended the session")
			}
			return err
		}
		if n == drivers.EventPage {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-life.C:
			return nil
		case <-look.C:
		}
	}
}

// page reads the next page of a collector and tells it.
func (f *eventFollower) page(ctx context.Context, h *event.HistoryCollector) (int, error) {
	req, cancel := context.WithTimeout(ctx, f.d.cfg.Timeout)
	defer cancel()
	list, err := h.ReadNextEvents(req, drivers.EventPage)
	if err != nil {
		return 0, f.d.wrap(f.request, err)
	}
	var page []drivers.Event
	for _, e := range list {
		if told, ok := f.d.eventOf(e); ok {
			page = append(page, told)
		}
		if t := e.GetEvent().CreatedTime; t.After(f.from) {
			f.from = t
		}
	}
	if len(page) > 0 {
		err = f.fn(page)
	}
	return len(list), err
}

// eventOf translates an event; false for one that is about nothing of ours.
func (d *Driver) eventOf(base types.BaseEvent) (drivers.Event, bool) {
	e := base.GetEvent()
	out := drivers.Event{Key: int64(e.Key), Time: e.CreatedTime, Text: e.FullFormattedMessage}
	if e.Host != nil {
		out.Server = e.Host.Name
	}
	if e.Vm != nil {
		out.VM = e.Vm.Name
	}
	if d.cfg.Datacenter != "" && e.Datacenter != nil && e.Datacenter.Name != d.cfg.Datacenter {
		return out, false
	}
	switch x := base.(type) {
	case *types.AlarmStatusChangedEvent:
		out.Kind, out.Alarm, out.From, out.To = drivers.EventAlarm, x.Alarm.Name, x.From, x.To
		out.Server, out.VM = "", ""
		switch x.Entity.Entity.Type {
		case "HostSystem":
			out.Server = x.Entity.Name
		case "VirtualMachine":
			out.VM = x.Entity.Name
		default:
			return out, false // of a datastore, a cluster, vCenter itself
		}
		return out, true
	case *types.HostConnectionLostEvent:
		out.Kind = drivers.EventServerLost
	case *types.HostDisconnectedEvent:
		out.Kind = drivers.EventServerDisconnected
	case *types.HostConnectedEvent:
		out.Kind = drivers.EventServerConnected
	case *types.VmDisconnectedEvent:
		out.Kind = drivers.EventVMDisconnected
		return out, out.VM != ""
	case *types.VmConnectedEvent:
		out.Kind = drivers.EventVMConnected
		return out, out.VM != ""
	default:
		return out, false
	}
	return out, out.Server != ""
}
