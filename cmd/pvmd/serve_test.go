package main

import (
	"reflect"
	"slices"
	"testing"

	"yagura/node"
)

func TestEveryKeyIsExplained(t *testing.T) {
	keys := configKeys(reflect.TypeFor[node.Config](), "")
	for _, k := range keys {
		if keyTexts[k] == "" {
			t.Errorf("key %s has no text", k)
		}
	}
	for k := range keyTexts {
		if !slices.Contains(keys, k) {
			t.Errorf("there is no key %s", k)
		}
	}
	if got, want := keyHelp("raft.log"), keyTexts["raft.log"]+" (default wal)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range [][]string{
		{"bogus"}, {"sim", "bogus"}, {"sim", "ctl", "bogus"}, {"snapshot", "bogus"}, {"log", "bogus"}, {"tls", "bogus"}, {"demo", "bogus"},
		{"snapshot", "inspect"}, {"log", "dump"}, {"log", "dump", "a", "b"}, {"serve", "now"}, {"serve", "--bogus"},
	} {
		if code := run(t.Context(), args); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
