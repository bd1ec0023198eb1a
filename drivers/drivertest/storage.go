package drivertest

import (
	"context"
	"slices"
	"testing"

	"yagura/drivers"
)

// StorageWorld is an array under test.
type StorageWorld struct {
	// Open returns a new client, as another manager process would have it. The
	// suite closes it.
	Open func(t *testing.T) drivers.Storage
	// Volumes are two volumes that are connected to nobody.
	Volumes [2]string
	// Old and New are the initiators of two machines, both off.
	Old, New []string
	// Session opens a session of a connected initiator and returns when the
	// array shows it. Nil when the array doesn't tell of sessions.
	Session func(t *testing.T, volume, initiator string)
	// Silence makes the array stop answering.
	Silence func(t *testing.T)
	// Effects counts the effects of an operation (connect, disconnect) that took
	// place on an object, "VOLUME INITIATOR"; empty strings count all.
	Effects func(t *testing.T, op, object string) int
}

// RunStorage runs the suite. world makes a fresh world.
func RunStorage(t *testing.T, world func(t *testing.T) StorageWorld) {
	each(t, 2*patience, []test[*storage]{
		{"Read", testStorageRead},
		{"ConnectConverges", testStorageConnect},
		{"DisconnectConverges", testStorageDisconnect},
		{"NonSharedConnectsToOneMachine", testStorageNonShared},
		{"SharedConnectsToTwo", testStorageShared},
		{"MovesFromMachineToMachine", testStorageMove},
		{"Sessions", testStorageSessions},
		{"Refusals", testStorageRefuses},
		{"ExpiredCallsDoNothing", testStorageExpired},
		{"EndedContextDoesNothing", testStorageEndedContext},
		{"Silent", testStorageSilent},
	}, func(t *testing.T, ctx context.Context) *storage {
		s := &storage{T: t, ctx: ctx, w: world(t)}
		s.d = s.open()
		return s
	})
}

// storage is one running subtest.
type storage struct {
	*testing.T
	ctx context.Context
	w   StorageWorld
	d   drivers.Storage
}

func (s *storage) open() drivers.Storage { return opened(s.ctx, s.T, s.w.Open) }

// volume reads a volume, and wants the list of all to say the same.
func (s *storage) volume(d drivers.Storage, name string) drivers.VolumeState {
	s.Helper()
	one, err := d.Volume(s.ctx, name)
	if err != nil {
		s.Fatalf("volume %s: %v", name, err)
	}
	if one.Name != name || !slices.IsSorted(one.Initiators) || !slices.IsSorted(one.Sessions) {
		s.Fatalf("volume %s reads as %+v", name, one)
	}
	return one
}

// becomes waits until every client sees the volume connected to just these initiators.
func (s *storage) becomes(name string, initiators ...string) {
	s.Helper()
	want := slices.Sorted(slices.Values(initiators))
	for _, d := range []drivers.Storage{s.d, s.open()} {
		waitFor(s.T, s.ctx, name+" to be connected to what was asked", func() bool { return slices.Equal(s.volume(d, name).Initiators, want) })
	}
}

// ok wants a call to be accepted.
func (s *storage) ok(task drivers.Task, err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	if task.State != drivers.TaskDone && task.State != drivers.TaskRunning {
		s.Fatalf("the task is %+v", task)
	}
}

func (s *storage) fails(k drivers.Kind, what string, err error) {
	s.Helper()
	if err == nil || drivers.KindOf(err) != k {
		s.Fatalf("%s: %v, want %s", what, err, k)
	}
}

// effects wants so many effects of an operation, one on each initiator; without
// initiators, on all together.
func (s *storage) effects(n int, op, volume string, initiators ...string) {
	s.Helper()
	objects := []string{""}
	if len(initiators) > 0 {
		objects = nil
		for _, i := range initiators {
			objects = append(objects, volume+" "+i)
		}
	}
	for _, o := range objects {
		if got := s.w.Effects(s.T, op, o); got != n {
			s.Fatalf("%d effects %q on %q, want %d", got, op, o, n)
		}
	}
}

// connected connects the first volume to the old machine.
func (s *storage) connected() string {
	s.Helper()
	v := s.w.Volumes[0]
	s.ok(s.d.Connect(s.ctx, call("connect"), v, s.w.Old, false))
	s.becomes(v, s.w.Old...)
	return v
}

func testStorageRead(s *storage) {
	all, err := s.d.Volumes(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	if !slices.IsSorted(names) {
		s.Errorf("the volumes %v are in no order", names)
	}
	for _, name := range s.w.Volumes {
		if !slices.Contains(names, name) {
			s.Errorf("no %s among %v", name, names)
		}
		if v := s.volume(s.d, name); len(v.Initiators)+len(v.Sessions) > 0 {
			s.Errorf("%+v is in use before the test", v)
		}
	}
	_, err = s.d.Volume(s.ctx, "no-such-volume")
	s.fails(drivers.KindNotFound, "a volume that isn't there", err)
	s.effects(0, "", "")
}

func testStorageConnect(s *storage) {
	v := s.w.Volumes[0]
	for range 2 {
		s.ok(s.d.Connect(s.ctx, call("connect"), v, s.w.Old, false))
		s.becomes(v, s.w.Old...)
	}
	s.effects(1, "connect", v, s.w.Old...)
	s.becomes(s.w.Volumes[1])
	all, err := s.d.Volumes(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	for _, one := range all {
		if one.Name == v && !slices.Equal(one.Initiators, slices.Sorted(slices.Values(s.w.Old))) {
			s.Errorf("the list of volumes says %+v", one)
		}
	}
}

func testStorageDisconnect(s *storage) {
	v := s.connected()
	for range 2 {
		s.ok(s.d.Disconnect(s.ctx, call("disconnect"), v, s.w.Old))
		s.becomes(v)
	}
	s.effects(1, "disconnect", v, s.w.Old...)
	s.ok(s.d.Disconnect(s.ctx, call("nobody"), v, s.w.New))
	s.effects(0, "disconnect", v, s.w.New...)
}

func testStorageNonShared(s *storage) {
	v := s.connected()
	_, err := s.d.Connect(s.ctx, call("second"), v, s.w.New, false)
	s.fails(drivers.KindRefused, "a second machine on a non-shared volume", err)
	s.becomes(v, s.w.Old...)
	s.effects(0, "connect", v, s.w.New...)
	s.ok(s.d.Connect(s.ctx, call("other"), s.w.Volumes[1], s.w.New, false))
	s.becomes(s.w.Volumes[1], s.w.New...)
}

func testStorageShared(s *storage) {
	v := s.w.Volumes[0]
	s.ok(s.d.Connect(s.ctx, call("one"), v, s.w.Old, true))
	s.ok(s.d.Connect(s.ctx, call("two"), v, s.w.New, true))
	s.becomes(v, slices.Concat(s.w.Old, s.w.New)...)
	s.ok(s.d.Disconnect(s.ctx, call("off"), v, s.w.Old))
	s.becomes(v, s.w.New...)
	s.effects(0, "disconnect", v, s.w.New...)
}

func testStorageMove(s *storage) {
	v := s.connected()
	s.ok(s.d.Disconnect(s.ctx, call("off"), v, s.w.Old))
	s.becomes(v)
	s.ok(s.d.Connect(s.ctx, call("on"), v, s.w.New, false))
	s.becomes(v, s.w.New...)
	s.effects(1, "connect", v, s.w.New...)
}

func testStorageSessions(s *storage) {
	v := s.connected()
	if s.w.Session == nil {
		if got := s.volume(s.d, v); len(got.Sessions) > 0 {
			s.Errorf("an array that doesn't tell of sessions told %+v", got)
		}
		return
	}
	old := s.w.Old[0]
	s.w.Session(s.T, v, old)
	if got := s.volume(s.d, v); !slices.Equal(got.Sessions, []string{old}) {
		s.Fatalf("with a session of %s it reads as %+v", old, got)
	}
	s.ok(s.d.Disconnect(s.ctx, call("off"), v, s.w.Old))
	waitFor(s.T, s.ctx, "the session to be cut", func() bool {
		got := s.volume(s.d, v)
		return len(got.Sessions)+len(got.Initiators) == 0
	})
	s.ok(s.d.Connect(s.ctx, call("on"), v, s.w.New, false))
	s.becomes(v, s.w.New...)
}

func testStorageRefuses(s *storage) {
	v := s.w.Volumes[0]
	_, err := s.d.Connect(s.ctx, call("1"), "no-such-volume", s.w.Old, false)
	s.fails(drivers.KindNotFound, "connection of a volume that isn't there", err)
	_, err = s.d.Disconnect(s.ctx, call("2"), "no-such-volume", s.w.Old)
	s.fails(drivers.KindNotFound, "disconnection of a volume that isn't there", err)
	for _, bad := range [][]string{nil, {""}, {"-o"}, {"a b"}, {"a;b"}, {"a\nb"}} {
		_, err = s.d.Connect(s.ctx, call("3"), v, bad, false)
		s.fails(drivers.KindRefused, "connection to bad initiators", err)
		_, err = s.d.Disconnect(s.ctx, call("4"), v, bad)
		s.fails(drivers.KindRefused, "disconnection from bad initiators", err)
	}
	s.effects(0, "", "")
}

// allChanges makes every change, each of which would be an effect.
func (s *storage) allChanges(ctx context.Context, c drivers.Call, k drivers.Kind, before int) {
	s.Helper()
	_, err := s.d.Connect(ctx, c, s.w.Volumes[1], s.w.New, false)
	s.fails(k, "connect", err)
	_, err = s.d.Disconnect(ctx, c, s.w.Volumes[0], s.w.Old)
	s.fails(k, "disconnect", err)
	s.effects(before, "", "")
}

func testStorageExpired(s *storage) {
	s.connected()
	s.allChanges(s.ctx, late("late"), drivers.KindExpired, len(s.w.Old))
}

func testStorageEndedContext(s *storage) {
	s.connected()
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	s.allChanges(ctx, call("ended"), drivers.KindUnreachable, len(s.w.Old))
}

func testStorageSilent(s *storage) {
	v := s.connected()
	s.w.Silence(s.T)
	_, err := s.d.Volumes(s.ctx)
	s.fails(drivers.KindUnreachable, "volumes", err)
	_, err = s.d.Volume(s.ctx, v)
	s.fails(drivers.KindUnreachable, "volume", err)
	s.allChanges(s.ctx, call("silent"), drivers.KindUnreachable, len(s.w.Old))
}
