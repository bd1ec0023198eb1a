package main

import (
	"bytes"
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

func TestNewOutput(t *testing.T) {
	for _, test := range []struct{ old, tail, want string }{
		{"", "a\n", "a\n"},
		{"a\n", "a\nb\n", "b\n"},
		{"a\nb\n", "b\nc\n", "c\n"}, // the beginning was cut off
		{"a\n", "x\ny\n", "x\ny\n"},
		{"aab", "aabaab", "aab"},
	} {
		if got := newOutput(test.old, test.tail); got != test.want {
			t.Errorf("after %q, of %q: %q, want %q", test.old, test.tail, got, test.want)
		}
	}
}

// TestFollow holds that each change of a job and each line of a script is shown once.
func TestFollow(t *testing.T) {
	f := newFake(t)
	state := func(job, step, tail string) *api.JobInfo {
		info := jobIn("7", job, 10, step)
		info.Steps[0].Tail = tail
		return info
	}
	f.jobs["00007"] = []*api.JobInfo{
		state(schema.JobRunning, schema.StepPending, ""), state(schema.JobRunning, schema.StepStarted, ""),
		state(schema.JobRunning, schema.StepStarted, "one\ntwo\n"), state(schema.JobRunning, schema.StepStarted, "two\nthree\n"),
		state(schema.JobSucceeded, schema.StepDone, "two\nthree\n"),
	}
	f.broken["00007"] = 1 // the first watch breaks, and the job is attached to again
	c := consoleFor(t, f)
	if code := c.run("job", "show", "7", "-f"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	want := `job 7 (MoveMachine web01) running
step 1, migrate-vm web01: started
  one
  two
  three
step 1, migrate-vm web01: done
job 7 (MoveMachine web01) succeeded
`
	if got := c.stdout.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestOutputIsHarmless holds that what a script writes can't command a terminal.
func TestOutputIsHarmless(t *testing.T) {
	var b bytes.Buffer
	writeOutput(&b, "\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07\u009b2J\xff end")
	if got, want := b.String(), "  red\n   ]0;title  2J\ufffd end\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
