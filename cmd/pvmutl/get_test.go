package main

import (
	"strings"
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// TestAutomationOfCategories holds that a category is never shown as armed
// while nothing acts below it.
func TestAutomationOfCategories(t *testing.T) {
	off := &schema.Disarm{By: "admin", Since: at(0), Reason: "move"}
	for name, test := range map[string]struct {
		settings *schema.Settings
		want     string // of infra, which isn't disarmed itself
	}{
		"armed":    {&schema.Settings{}, "armed"},
		"disarmed": {&schema.Settings{Disarm: off}, "disarmed by admin since 2026-11-23 12:00:00: move (everywhere)"},
		"storm":    {&schema.Settings{Storm: &schema.Storm{Since: at(0), Count: 12}}, "held by a storm of 12 machines since 2026-11-23 12:00:00 (everywhere)"},
		"past":     {&schema.Settings{Storm: &schema.Storm{Since: at(0), Over: at(1), Count: 12}}, "armed"},
	} {
		f := newFake(t)
		f.loadCanned(t)
		f.answers["List Settings"] = &api.ListReply{Objects: []*api.Object{object(t, "Settings", "cluster", test.settings, "{}")}}
		c := consoleFor(t, f)
		if code := c.run("get", "category"); code != 0 || !strings.Contains(c.stdout.String(), "infra     0         "+test.want+"  ") {
			t.Errorf("%s: exit code %d\n%s", name, code, c.stdout.String())
		}
	}
}
