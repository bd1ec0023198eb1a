package storagecli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/command"
)

// DefaultTimeout bounds one command; some tools lock the array for a while.
const DefaultTimeout = time.Minute

// Config says which tools to run for an array.
type Config struct {
	// Name is the subsystem's, for errors.
	Name string
	// Address has to be empty: the family's options say where the array is.
	Address string
	// User and Password are in the environment of the tools, as STORAGE_USER
	// and STORAGE_PASSWORD.
	User, Password string
	// Options are family; those of the family, as families.yaml has them; and,
	// optional: bin (folder of the tools), via (words before each command, such
	// as "ssh admin@array"), timeout (seconds a command may take).
	Options map[string]string
}

// Driver drives one array. It keeps nothing between two calls.
type Driver struct {
	cfg  Config
	tool command.Tool
	*settings

	// tools holds a token while tools run: they lock the array, and a check has
	// to hold until its change.
	tools chan struct{}
}

var _ drivers.Storage = (*Driver)(nil)

// Open checks the settings. The first call runs the first tool.
func Open(cfg Config) (*Driver, error) {
	s, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	return &Driver{cfg: cfg, tool: cfg.makeTool(s), settings: s, tools: make(chan struct{}, 1)}, nil
}

// Close implements drivers.Storage. There is no session to end.
func (d *Driver) Close(context.Context) error { return nil }

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.cfg.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}

// hold waits until no other call runs tools, or ctx ends. The caller calls release.
func (d *Driver) hold(ctx context.Context, op, object string) (release func(), err error) {
	select {
	case d.tools <- struct{}{}:
		return func() { <-d.tools }, nil
	case <-ctx.Done():
		return nil, d.errorf(drivers.KindUnreachable, op, object, "waiting for other calls of the array's tools: %w", ctx.Err())
	}
}

// look reads the array. The caller holds tools.
func (d *Driver) look(ctx context.Context, op, object string) (*array, error) {
	a := newArray()
	for _, r := range d.Read {
		words, err := d.words(r.Run, nil)
		if err != nil {
			return nil, d.errorf(drivers.KindRefused, op, object, "%w", err)
		}
		output, err := d.run(ctx, "", words)
		if err != nil {
			return nil, d.errorf(drivers.KindUnreachable, op, object, "%w", err)
		}
		if err := a.read(r.Lines, output); err != nil {
			return nil, d.errorf(drivers.KindFailed, op, object, "what %s printed can't be read: %w", words[0], err)
		}
	}
	a.finish()
	return a, nil
}

// Volumes implements drivers.Storage.
func (d *Driver) Volumes(ctx context.Context) ([]drivers.VolumeState, error) {
	release, err := d.hold(ctx, "read", d.cfg.Options[optFamily])
	if err != nil {
		return nil, err
	}
	defer release()
	a, err := d.look(ctx, "read", d.cfg.Options[optFamily])
	if err != nil {
		return nil, err
	}
	var all []drivers.VolumeState
	for name := range a.volumes {
		all = append(all, a.volume(name))
	}
	slices.SortFunc(all, func(a, b drivers.VolumeState) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Volume implements drivers.Storage. Sessions are told by few tools.
func (d *Driver) Volume(ctx context.Context, name string) (drivers.VolumeState, error) {
	release, err := d.hold(ctx, "read", name)
	if err != nil {
		return drivers.VolumeState{}, err
	}
	defer release()
	a, err := d.look(ctx, "read", name)
	if err != nil {
		return drivers.VolumeState{}, err
	}
	if !a.volumes[name] {
		return drivers.VolumeState{}, d.errorf(drivers.KindNotFound, "read", name, "the array has no such volume")
	}
	return a.volume(name), nil
}

// Connect implements drivers.Storage.
func (d *Driver) Connect(ctx context.Context, call drivers.Call, volume string, initiators []string, shared bool) (drivers.Task, error) {
	return d.change(ctx, call, "connect", d.settings.Connect, volume, initiators, func(a *array, mine []string) ([]string, error) {
		reach := slices.Clone(mine) // whoever gets at it with them
		for _, i := range mine {
			reach = append(reach, a.sets[a.setOf(i)]...)
		}
		v := a.volume(volume)
		for _, i := range slices.Concat(v.Initiators, v.Sessions, reach) {
			if !shared && !slices.Contains(mine, i) {
				return nil, fmt.Errorf("it is not shared, and connected to or in use by %s, or would be", i)
			}
		}
		spoken, err := d.spoken(a, mine)
		if err != nil {
			return nil, err
		}
		missing := slices.DeleteFunc(spoken, func(i string) bool { return a.connected[volume][i] })
		for other, to := range a.connected {
			for _, i := range missing {
				if d.Exclusive && other != volume && to[i] {
					return nil, fmt.Errorf("%s is connected to %s, which it would lose: this array knows one for a host", i, other)
				}
			}
		}
		return missing, nil
	}, func(a *array, mine []string) error {
		spoken, err := d.spoken(a, mine)
		if err != nil {
			return err
		}
		for _, i := range spoken {
			if !a.connected[volume][i] {
				return fmt.Errorf("it isn't connected to %s", i)
			}
		}
		return nil
	})
}

// spoken are the initiators of the kinds that the array speaks: a machine may
// have others, for other arrays.
func (d *Driver) spoken(a *array, initiators []string) ([]string, error) {
	bySet := strings.Contains(d.settings.Connect, "{set}")
	known := func(iscsi bool) bool {
		return slices.ContainsFunc(initiators, func(i string) bool { return drivers.IsISCSI(i) == iscsi && a.setOf(i) != "" })
	}
	spoken := slices.DeleteFunc(slices.Clone(initiators), func(i string) bool {
		iscsi := drivers.IsISCSI(i)
		return d.WWN == "hex" && iscsi || bySet && !known(iscsi) && known(!iscsi)
	})
	if len(spoken) == 0 {
		return nil, fmt.Errorf("the machine has no WWPN, which this array goes by: %s", strings.Join(initiators, ", "))
	}
	return spoken, nil
}

// Disconnect implements drivers.Storage.
func (d *Driver) Disconnect(ctx context.Context, call drivers.Call, volume string, initiators []string) (drivers.Task, error) {
	return d.change(ctx, call, "disconnect", d.settings.Disconnect, volume, initiators, func(a *array, mine []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(mine), func(i string) bool {
			return !a.connected[volume][i] && !a.sessions[volume][i]
		}), nil
	}, func(a *array, mine []string) error {
		for _, i := range mine {
			if a.connected[volume][i] {
				return fmt.Errorf("it is still connected to %s", i)
			}
			if a.sessions[volume][i] {
				return fmt.Errorf("the session of %s stays open", i)
			}
		}
		return nil
	})
}

// change brings a change about: todo says for which initiators the commands
// have to run, done what is lacking afterwards.
func (d *Driver) change(
	ctx context.Context, call drivers.Call, op, line, volume string, initiators []string,
	todo func(a *array, mine []string) ([]string, error), done func(a *array, mine []string) error,
) (drivers.Task, error) {
	fail := func(k drivers.Kind, err error) (drivers.Task, error) {
		return drivers.Task{}, d.errorf(k, op, volume, "%w", err)
	}
	if err := errors.Join(drivers.CheckName("the volume", volume), drivers.CheckInitiators(initiators)); err != nil {
		return fail(drivers.KindRefused, err)
	}
	if call.Expired(time.Now()) {
		return fail(drivers.KindExpired, call.Late())
	}
	ctx, cancel := call.Context(ctx)
	defer cancel()
	release, err := d.hold(ctx, op, volume)
	if err != nil {
		return drivers.Task{}, err
	}
	defer release()
	a, err := d.look(ctx, op, volume)
	if err != nil {
		return drivers.Task{}, err
	}
	if !a.volumes[volume] {
		return fail(drivers.KindNotFound, errors.New("the array has no such volume"))
	}
	mine := make([]string, len(initiators))
	for i := range initiators {
		mine[i] = canonical(initiators[i])
	}
	missing, err := todo(a, mine)
	if err != nil {
		return fail(drivers.KindRefused, err)
	}
	lines, err := d.plan(a, line, volume, missing)
	if err != nil {
		return fail(drivers.KindRefused, err)
	}
	for i, words := range lines {
		_, err := d.run(ctx, call.Token, words)
		if never := (&command.NotStarted{}); errors.As(err, &never) && i == 0 {
			return fail(drivers.KindUnreachable, err)
		}
		if err == nil {
			continue
		}
		// What the failed tool left is read, and tells more than its words.
		after, readErr := d.look(ctx, op, volume)
		switch exit := (&command.Exit{}); {
		case readErr != nil || !errors.As(err, &exit) || i > 0:
			return fail(drivers.KindUnknown, err)
		case done(after, mine) != nil:
			return fail(drivers.KindFailed, err)
		}
	}
	if err := d.commit(ctx, call.Token); err != nil {
		return fail(drivers.KindUnknown, err)
	}
	if len(lines) == 0 {
		return drivers.Done(""), nil
	}
	if a, err = d.look(ctx, op, volume); err != nil {
		return fail(drivers.KindUnknown, err)
	}
	if err := done(a, mine); err != nil {
		return fail(drivers.KindFailed, fmt.Errorf("the tools reported success, and %w", err))
	}
	return drivers.Done(""), nil
}

// commit makes the array act on what was changed, by this call or by one that
// was cut off before it came to this.
func (d *Driver) commit(ctx context.Context, token string) error {
	if d.Commit == "" {
		return nil
	}
	words, err := d.words(d.Commit, nil)
	if err == nil {
		_, err = d.run(ctx, token, words)
	}
	return err
}

// plan makes the words of the command for each initiator, or, where the array
// connects sets of initiators, for each set.
func (d *Driver) plan(a *array, line, volume string, initiators []string) ([][]string, error) {
	bySet := strings.Contains(line, "{set}")
	var lines [][]string
	var seen []string
	for _, i := range initiators {
		call := map[string]string{"volume": volume, "initiator": i}
		if d.WWN == "hex" {
			call["initiator"] = strings.ReplaceAll(i, ":", "")
		}
		if bySet {
			set := a.setOf(i)
			if set == "" {
				return nil, fmt.Errorf("the array knows no host or set with the initiator %s: register it there", i)
			}
			if err := drivers.CheckName("a host or set", set); err != nil {
				return nil, err
			}
			if slices.Contains(seen, set) {
				continue
			}
			seen = append(seen, set)
			call["set"] = set
		}
		words, err := d.words(line, call)
		if err != nil {
			return nil, err
		}
		lines = append(lines, words)
	}
	return lines, nil
}
