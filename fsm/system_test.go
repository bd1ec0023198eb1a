package fsm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

func TestBootstrap(t *testing.T) {
	c := bootstrapped(t)
	v := c.Store().View()
	s := fsm.Settings(v)
	if s.Cluster != "c1" || s.Feature != fsm.MaxFeature || s.MaxEvents == 0 || s.BrakeJobs == 0 {
		t.Errorf("%v", s)
	}
	if u, _ := fsm.Users.Get(v, "admin"); u.GetRole() != schema.RoleAdministrator {
		t.Errorf("%v", u)
	}
	for name, rules := range map[string]int{"standard": 37, "standard-vms": 7, "standard-vms-powersave": 8} {
		p, _ := fsm.Policies.Get(v, name)
		if len(p.GetRules()) != rules || !p.Builtin || p.Description == "" {
			t.Errorf("policy %s has %d rules, want %d", name, len(p.GetRules()), rules)
		}
	}
	if n := fsm.TrapRules.Len(v); n != 62 {
		t.Errorf("%d trap rules", n)
	}
	// A second one does nothing, whoever asks.
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Bootstrap(tx, fsm.BootstrapSpec{Admin: "eve", AdminHash: []byte("x")})
	})
	if c.Store().View().Index() != v.Index() {
		t.Error("a second bootstrap changed something")
	}
}

func TestFeatureLevel(t *testing.T) {
	c := bootstrapped(t)
	level := func() uint32 { return fsm.Settings(c.Store().View()).Feature }
	raise := func(ids ...string) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error { return fsm.RaiseFeature(tx, ids) })
	}
	_, err := c.Try(func(tx *fsm.Tx) error { return fsm.PutManager(tx, &schema.Manager{Id: "old", Feature: 0}) })
	if schema.KindOf(err) != schema.KindConflict {
		t.Errorf("a manager that can't apply the log joined: %v", err)
	}
	// A cluster that began at a lower level is raised to what all speak.
	c.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
		s.Feature = 0
		return firstErr(fsm.SettingsTable.Put(tx, s),
			fsm.PutManager(tx, &schema.Manager{Id: "a", Feature: 9}), fsm.PutManager(tx, &schema.Manager{Id: "b", Feature: 0}))
	})
	if raise("a", "b"); level() != 0 {
		t.Error("raised above what b speaks")
	}
	c.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
		s.Feature = 1
		return fsm.SettingsTable.Put(tx, s)
	})
	// A manager of level 1 can't read this table, and would stop at the row.
	refuse(t, c, schema.KindConflict, []string{"feature level 2", "upgrade all managers"}, doc("Vlan", "v", `{'id':1}`))
	if raise("a", "c"); level() != 1 {
		t.Error("raised although c hasn't told what it speaks")
	}
	if raise("a"); level() != fsm.MaxFeature {
		t.Errorf("level %d", level())
	}
	if raise("a", "b"); level() != fsm.MaxFeature {
		t.Error("lowered")
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.RemoveManager(tx, "b") })
	_, err = c.Try(func(tx *fsm.Tx) error { return fsm.RemoveManager(tx, "b") })
	if schema.KindOf(err) != schema.KindNotFound {
		t.Errorf("removed twice: %v", err)
	}
}

func hash(i int) string {
	h := sha256.Sum256(fmt.Append(nil, i))
	return hex.EncodeToString(h[:])
}

func TestUsersAndTokens(t *testing.T) {
	c := bootstrapped(t)
	try := func(verb func(*fsm.Tx) error) schema.Kind {
		_, err := c.Try(verb)
		return schema.KindOf(err)
	}
	user := func(u *schema.User) schema.Kind { return try(func(tx *fsm.Tx) error { return fsm.SetUser(tx, u) }) }
	token := func(i int, name string) schema.Kind {
		return try(func(tx *fsm.Tx) error {
			now := timestamppb.New(tx.Now().Add(time.Duration(i)))
			return fsm.PutToken(tx, &schema.Token{Hash: hash(i), User: name, Created: now, Expires: timestamppb.New(tx.Now().Add(time.Hour))})
		})
	}
	tokens := func() int { return fsm.Tokens.Len(c.Store().View()) }
	for i, tt := range []struct {
		u    *schema.User
		want schema.Kind
	}{
		{&schema.User{Name: "op", Role: schema.RoleOperator, PasswordHash: []byte("h")}, ""},
		{&schema.User{Name: "op2", Role: schema.RoleOperator}, schema.KindPassword},
		{&schema.User{Name: "a b", Role: schema.RoleOperator, PasswordHash: []byte("h")}, schema.KindPassword},
		{&schema.User{Name: "x", Role: "god", PasswordHash: []byte("h")}, schema.KindInvalid},
		{&schema.User{Name: "admin", Role: schema.RoleObserver}, schema.KindConflict},
		{&schema.User{Name: "admin", Role: schema.RoleAdministrator, Disabled: true}, schema.KindConflict},
	} {
		if got := user(tt.u); got != tt.want {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
	if k := try(func(tx *fsm.Tx) error { return fsm.DeleteUser(tx, "admin") }); k != schema.KindConflict {
		t.Errorf("the last administrator was deleted: %q", k)
	}
	if k := token(1, "op"); k != "" || tokens() != 1 {
		t.Errorf("%q", k)
	}
	if k := token(2, "nobody"); k != schema.KindAccount {
		t.Errorf("token of nobody: %q", k)
	}
	user(&schema.User{Name: "op", Role: schema.RoleOperator, Description: "text only"})
	if tokens() != 1 {
		t.Error("a new description ended the session")
	}
	if user(&schema.User{Name: "op", Role: schema.RoleObserver}); tokens() != 0 {
		t.Error("another role left the session")
	}
	token(1, "op")
	c.Do(func(tx *fsm.Tx) error { return fsm.SetPasswordHash(tx, "op", []byte("new")) })
	if tokens() != 0 {
		t.Error("a new password left the session")
	}
	for i := range 105 {
		token(i, "op")
	}
	if _, ok := fsm.Tokens.Get(c.Store().View(), hash(4)); ok || tokens() != 100 {
		t.Errorf("%d sessions, the oldest among them: %v", tokens(), ok)
	}
	user(&schema.User{Name: "op", Role: schema.RoleObserver, Disabled: true})
	if k := token(1, "op"); k != schema.KindAccount || tokens() != 0 {
		t.Errorf("disabled: %q, %d sessions", k, tokens())
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.SetUser(tx, &schema.User{Name: "op", Role: schema.RoleObserver}) })
	token(1, "op")
	c.Do(func(tx *fsm.Tx) error { return fsm.DeleteToken(tx, hash(1)) })
	if tokens() != 0 {
		t.Error("the session is still there")
	}
	token(2, "op")
	c.Do(func(tx *fsm.Tx) error { return fsm.DeleteUser(tx, "op") })
	if tokens() != 0 {
		t.Error("a deleted account left a session")
	}
	if k := try(func(tx *fsm.Tx) error { return fsm.SetPasswordHash(tx, "op", []byte("x")) }); k != schema.KindAccount {
		t.Errorf("password of nobody: %q", k)
	}
}

func TestRetain(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Settings", "cluster", `{'max_events':10,'max_jobs':5,'max_audit':8,'max_age_days':30}`))
	now := time.Now()
	old := timestamppb.New(now.Add(-40 * 24 * time.Hour))
	c.Do(func(tx *fsm.Tx) error {
		for i := 1; i <= 30; i++ {
			e := &schema.Event{Id: fmt.Sprint(i), Time: timestamppb.New(now), State: schema.EventHandled}
			if i == 2 {
				e.State = schema.EventWaiting
			}
			j := &schema.Job{Id: fmt.Sprint(i), Created: old, State: schema.JobSucceeded}
			if i == 3 || i == 30 {
				j.State = schema.JobParked
			}
			if i == 4 {
				j.Parent = "3" // of a job that isn't over
			}
			a := &schema.Audit{Id: fmt.Sprint(1000 + i), Time: timestamppb.New(now)}
			s := &schema.Step{Job: fmt.Sprint(i), Number: 1}
			if err := firstErr(fsm.Events.Put(tx, e), fsm.Jobs.Put(tx, j), fsm.Steps.Put(tx, s), fsm.Audits.Put(tx, a)); err != nil {
				return err
			}
		}
		return firstErr(
			fsm.Requests.Put(tx, &schema.Request{Number: "101", Id: "old", Time: old}),
			fsm.Requests.Put(tx, &schema.Request{Number: "102", Id: "young", Time: timestamppb.New(now)}),
			fsm.Tokens.Put(tx, &schema.Token{Hash: hash(1), User: "admin", Created: old, Expires: old}),
			fsm.Tokens.Put(tx, &schema.Token{Hash: hash(2), User: "admin", Created: old, Expires: timestamppb.New(now.Add(time.Hour))}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "gone", Kind: schema.MachineVM, Gone: true, Collected: old}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "stays", Kind: schema.MachineVM, Gone: true, Managed: true, Collected: old}),
		)
	})
	_, err := c.Store().Update(t.Context(), fsm.Why{Op: "Retain", Internal: true}, func(tx *fsm.Tx) error {
		more, err := fsm.Retain(tx)
		if more {
			t.Error("more to do, after so little")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	v := c.Store().View()
	for name, n := range map[string][2]int{
		"events": {fsm.Events.Len(v), 10 + 1}, "audit": {fsm.Audits.Len(v), 8}, "jobs": {fsm.Jobs.Len(v), 3}, "steps": {fsm.Steps.Len(v), 3},
		"requests": {fsm.Requests.Len(v), 1}, "tokens": {fsm.Tokens.Len(v), 1}, "machines": {fsm.Machines.Len(v), 1},
	} {
		if n[0] != n[1] {
			t.Errorf("%d %s are left, want %d", n[0], name, n[1])
		}
	}
	if e, _ := fsm.Events.Last(v); e.Id != "30" {
		t.Errorf("the newest event is %s", e.Id)
	}
	if _, ok := fsm.Events.Get(v, fmt.Sprintf("%020d", 2)); !ok {
		t.Error("an event that waits for its actions was deleted")
	}
	index := v.Index()
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Retain(tx)
		return err
	})
	if c.Store().View().Index() != index {
		t.Error("a second run changed something")
	}
}

// TestRetainKeepsTheNewestRow checks that numbers are never given twice,
// however old everything is.
func TestRetainKeepsTheNewestRow(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Settings", "cluster", `{'max_age_days':1}`))
	old := timestamppb.New(time.Now().Add(-1000 * time.Hour))
	c.Do(func(tx *fsm.Tx) error {
		for i := 1; i <= 5000; i++ {
			if err := fsm.Events.Put(tx, &schema.Event{Id: fmt.Sprint(i), Time: old, State: schema.EventHandled}); err != nil {
				return err
			}
		}
		return nil
	})
	runs := 0
	for more := true; more; runs++ {
		_, err := c.Store().Update(t.Context(), fsm.Why{Internal: true}, func(tx *fsm.Tx) (err error) {
			more, err = fsm.Retain(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if runs > 50 {
			t.Fatal("it never ends")
		}
	}
	v := c.Store().View()
	if e, _ := fsm.Events.Last(v); fsm.Events.Len(v) != 1 || e.GetId() != "5000" || runs < 3 {
		t.Errorf("%d events after %d runs, the last is %v", fsm.Events.Len(v), runs, e)
	}
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestStandardPoliciesAreKnownToTheCatalog holds the policies against the
// catalog's events: a category that no event has would never match.
func TestStandardPoliciesAreKnownToTheCatalog(t *testing.T) {
	for _, p := range catalog.Policies() {
		for _, r := range p.Rules {
			sel, err := catalog.ParseSelector(r.Notifier, r.Selector)
			if err != nil {
				t.Errorf("%s, %s: %v", p.Name, r.Name, err)
				continue
			}
			found := false
			for _, e := range catalog.Events() {
				found = found || e.Notifier == r.Notifier && sel.Match(e.Source, e.ID, e.Category)
			}
			if !found {
				t.Errorf("%s, %s: selector %s matches no event of the catalog", p.Name, r.Name, r.Selector)
			}
		}
	}
}
