package fsm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// tokenRows are the sessions that a state ought to have, by key.
type tokenRows map[string]*schema.Token

// check holds every way of reading a table against what it ought to give.
func (want tokenRows) check(v *View) error {
	var keys []string
	byUser := map[string][]string{}
	for key := range want {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		byUser[want[key].User] = append(byUser[want[key].User], key)
	}
	read := func(seq func(func(*schema.Token) bool)) (got []string) {
		for l := range seq {
			got = append(got, l.Hash)
		}
		return got
	}
	reversed := func(in []string) []string {
		out := slices.Clone(in)
		slices.Reverse(out)
		return out
	}
	compare := func(what string, got, want []string) error {
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s: %v, want %v", what, got, want)
		}
		return nil
	}
	if n := Tokens.Len(v); n != len(want) {
		return fmt.Errorf("%d rows, want %d", n, len(want))
	}
	middle := len(keys) / 2
	from := "none"
	if len(keys) > 0 {
		from = keys[middle]
		if last, ok := Tokens.Last(v); !ok || last.Hash != keys[len(keys)-1] {
			return fmt.Errorf("the last row is %v", last)
		}
	}
	if err := firstFault(
		compare("all", read(Tokens.All(v)), keys),
		compare("backward", read(Tokens.Backward(v)), reversed(keys)),
		compare("from "+from, read(Tokens.From(v, from)), keys[middle:]),
	); err != nil {
		return err
	}
	for n := range 5 {
		u := fmt.Sprint(n)
		if err := firstFault(
			compare("of user "+u, read(Tokens.By(v, ByUser, u)), byUser[u]),
			compare("backward of user "+u, read(Tokens.ByBackward(v, ByUser, u)), reversed(byUser[u])),
		); err != nil {
			return err
		}
		if one, ok := Tokens.One(v, ByUser, u); ok != (len(byUser[u]) > 0) || ok && one.Hash != byUser[u][0] {
			return fmt.Errorf("one of user %s is %v", u, one)
		}
	}
	for _, key := range keys {
		if l, ok := Tokens.Get(v, key); !ok || !proto.Equal(l, want[key]) {
			return fmt.Errorf("row %q is %v, want %v", key, l, want[key])
		}
	}
	return v.Verify()
}

func firstFault(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A state shares rows with those that were made out of it, by several at once,
// too, and none of them may see what another one writes.
func TestStatesDontChange(t *testing.T) {
	type state struct {
		view *View
		want tokenRows
	}
	states := []state{{&View{db: newDatabase()}, tokenRows{}}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		base := states[rng.IntN(len(states))]
		made := make([]state, 2)
		var wg sync.WaitGroup
		for i := range made {
			seed := rng.Uint64()
			wg.Go(func() { made[i] = state(nextTokens(t, base.view, base.want, seed)) })
		}
		wg.Wait()
		states = append(states, made...)
	}
	for i, s := range states {
		if err := s.want.check(s.view); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
	}
}

// nextTokens makes a state out of another one by some puts and deletes, with
// walks that go on while rows are written.
func nextTokens(t *testing.T, base *View, old tokenRows, seed uint64) (made struct {
	view *View
	want tokenRows
}) {
	rng := rand.New(rand.NewPCG(seed, 0))
	want := tokenRows{}
	for key, l := range old {
		want[key] = l
	}
	tx := &Tx{b: &batch{base: base, w: base.db.write(base.digest)}, changes: map[rowID]*change{}}
	for range 100 {
		l := &schema.Token{Hash: fmt.Sprintf("%064x", rng.IntN(200)), User: fmt.Sprint(rng.IntN(5)), Created: timestamp(time.Unix(0, 0)), Expires: timestamp(time.Unix(1, 0))}
		key := l.Hash
		switch rng.IntN(8) {
		case 0: // a walk sees what was there when it began
			var seen []string
			for found := range Tokens.By(tx, ByUser, l.User) {
				k := found.Hash
				seen = append(seen, k)
				if err := Tokens.Delete(tx, k); err != nil {
					t.Error(err)
				}
			}
			for k, l2 := range want {
				if l2.User == l.User {
					if !slices.Contains(seen, k) {
						t.Errorf("a walk missed %s", k)
					}
					delete(want, k)
				}
			}
		case 1, 2:
			if err := Tokens.Delete(tx, key); err != nil {
				t.Error(err)
			}
			delete(want, key)
		default:
			if err := Tokens.Put(tx, l); err != nil {
				t.Error(err)
			}
			want[key] = l
		}
	}
	w := tx.b.w
	made.view, made.want = &View{db: w.db, digest: w.sum}, want
	return made
}
