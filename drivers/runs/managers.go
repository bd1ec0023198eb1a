package runs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
)

// Peers are the other managers: of the runs in their folders only they can tell.
type Peers interface {
	// Others are the names of all other managers of the cluster.
	Others() []string
	// Ask puts a question to one of them; Folder.Answer answers there. Errors
	// are *drivers.Error, KindUnreachable when it can't be asked.
	Ask(ctx context.Context, manager string, q Question) (Look, error)
}

// Question is what a manager may be asked about a run in its folder.
type Question struct {
	Token string
	// Cancel asks for its end by force before the look; Deadline is the call's.
	Cancel   bool
	Deadline time.Time
}

// Answer answers another manager's question.
func (f *Folder) Answer(ctx context.Context, q Question) (Look, error) {
	if q.Cancel {
		if err := f.Cancel(ctx, drivers.Call{Token: q.Token, Deadline: q.Deadline}, q.Token); err != nil {
			return Look{}, err
		}
	}
	return f.Look(ctx, q.Token)
}

// Managers are the runs in the folders of all managers: what drivers.Distributor
// wants of runs that have begun. The id of a run is its token and its manager:
// TOKEN@MANAGER.
type Managers struct {
	Folder  *Folder
	Manager string // this one's name
	Peers   Peers  // nil: there are no others
}

// askTimeout bounds a question to another manager.
const askTimeout = 5 * time.Second

func (m *Managers) id(token, manager string) string { return token + "@" + manager }

// Begin begins a run on this manager and returns its first look. object names
// it in errors.
func (m *Managers) Begin(ctx context.Context, call drivers.Call, s Spec, object string) (drivers.Task, error) {
	if err := m.Folder.Start(ctx, call, s); err != nil {
		return drivers.Task{}, err
	}
	return m.task(ctx, m.id(s.Token, m.Manager), object)
}

// Find implements drivers.Distributor. It asks all managers.
func (m *Managers) Find(ctx context.Context, token string, run drivers.Run) (string, error) {
	object := run.Name + " " + run.Machine
	look, err := m.Folder.Look(ctx, token)
	if err != nil {
		return "", err
	}
	if look.State != Absent {
		return m.found(token, m.Manager, object, look)
	}
	if m.Peers == nil {
		return "", nil
	}
	type answer struct {
		manager string
		look    Look
		err     error
	}
	others := m.Peers.Others()
	answers := make(chan answer, len(others))
	for _, o := range others {
		go func() { // the loop below waits for it
			look, err := m.ask(ctx, o, Question{Token: token})
			answers <- answer{o, look, err}
		}()
	}
	var silent []string
	var first error
	var at *answer
	for range others {
		a := <-answers
		switch {
		case a.err != nil:
			silent = append(silent, a.manager)
			if first == nil {
				first = a.err
			}
		case a.look.State != Absent:
			at = &a
		}
	}
	switch {
	case at != nil:
		return m.found(token, at.manager, object, at.look)
	case first != nil:
		slices.Sort(silent)
		return "", m.errorf(drivers.KindUnreachable, "find", object, "it may have been begun on %s, which can't be asked: %v", strings.Join(silent, ", "), first)
	}
	return "", nil
}

func (m *Managers) found(token, manager, object string, look Look) (string, error) {
	if look.State == Lost {
		return "", m.errorf(drivers.KindUnknown, "find", object, "it was begun on %s and ended with that machine: nobody knows how", manager)
	}
	return m.id(token, manager), nil
}

// Task implements drivers.Distributor.
func (m *Managers) Task(ctx context.Context, id string) (drivers.Task, error) {
	return m.task(ctx, id, id)
}

func (m *Managers) task(ctx context.Context, id, object string) (drivers.Task, error) {
	token, manager, ok := strings.Cut(id, "@")
	if !ok {
		return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
	}
	look, err := m.question(ctx, manager, Question{Token: token})
	if drivers.KindOf(err) == drivers.KindNotFound {
		return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
	}
	if err != nil {
		return drivers.Task{}, err
	}
	return m.Folder.Task(id, object, look), nil
}

// Cancel implements drivers.Distributor.
func (m *Managers) Cancel(ctx context.Context, call drivers.Call, id string) error {
	token, manager, ok := strings.Cut(id, "@")
	if !ok {
		return m.errorf(drivers.KindNotFound, "cancel", id, "there is no such run")
	}
	if manager == m.Manager {
		return m.Folder.Cancel(ctx, call, token)
	}
	if call.Expired(time.Now()) {
		return m.Folder.expired("cancel", id, call)
	}
	_, err := m.question(ctx, manager, Question{Token: token, Cancel: true, Deadline: call.Deadline})
	return err
}

// Close implements drivers.Distributor. Runs go on.
func (m *Managers) Close(context.Context) error { return nil }

// question is one to this manager or another. KindNotFound when there is no
// such manager.
func (m *Managers) question(ctx context.Context, manager string, q Question) (Look, error) {
	if manager == m.Manager {
		return m.Folder.Look(ctx, q.Token)
	}
	if m.Peers == nil || !slices.Contains(m.Peers.Others(), manager) {
		return Look{}, m.errorf(drivers.KindNotFound, "ask", manager, "there is no such manager")
	}
	return m.ask(ctx, manager, q)
}

func (m *Managers) ask(ctx context.Context, manager string, q Question) (Look, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	look, err := m.Peers.Ask(ctx, manager, q)
	var known *drivers.Error
	if err != nil && !errors.As(err, &known) {
		err = m.errorf(drivers.KindUnreachable, "ask", manager, "%w", err)
	}
	return look, err
}

func (m *Managers) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: m.Folder.System, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}
