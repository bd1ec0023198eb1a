package main

import (
	"strings"
	"testing"

	"yagura/fsm/schema"
)

// TestReceiverTestTellsWhy: when the first attempt fails the command ends with
// the reason, although the message goes on waiting.
func TestReceiverTestTellsWhy(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	f.mu.Lock()
	f.answers["GetNotice"] = &schema.Notice{Id: "31", Receiver: "broken", State: schema.NoticeWaiting, Created: at(4)}
	f.mu.Unlock()
	c := consoleFor(t, f)
	if code := c.app().run(t.Context(), strings.Fields("receiver test broken")); code == 0 {
		t.Error("it ended well")
	}
	if got := c.stderr.String(); !strings.Contains(got, "connection refused") || !strings.Contains(got, "tried again") {
		t.Errorf("it says %q", got)
	}
}
