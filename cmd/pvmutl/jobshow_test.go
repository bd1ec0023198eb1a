package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
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

// What proves that a machine is off is told, and what a cancelled job waits for.
func TestJobShowTellsWhy(t *testing.T) {
	off := &schema.Step{Name: "shutdown-machine", State: schema.StepDone, Output: map[string]string{"proof": "isolated: in no VLAN by its ports sw1 p1"}}
	if got := stepRemark(off); got != "isolated: in no VLAN by its ports sw1 p1" {
		t.Errorf("remark %q", got)
	}
	job := &schema.Job{Id: "00007", State: schema.JobCancelling, Result: "ph03 runs in db as db02"}
	info := &api.JobInfo{Job: job, Steps: []*schema.Step{{Number: 4, Name: "start-machine", Target: "ph03", State: schema.StepHandled}}}
	var b strings.Builder
	if err := writeJob(&b, info); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"waits for  step 4, start-machine ph03 to end; then what was done is taken back\n", "so far     ph03 runs"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// A machine that was asked to shut down: until when it has time, and what then.
func TestJobShowTellsUntilWhen(t *testing.T) {
	started := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	st := &schema.Step{
		Number: 5, Name: "shutdown-machine", Target: "ph01", State: schema.StepStarted, Started: timestamppb.New(started),
		Args: map[string]string{"grace": "15s", "after_grace": "it is forced off"},
	}
	info := &api.JobInfo{Job: &schema.Job{Id: "00007", State: schema.JobRunning, Progress: 33}, Steps: []*schema.Step{st}}
	const want = "waits for ph01 to shut down, until 2026-11-23 12:00:15; then it is forced off"
	var b strings.Builder
	if err := writeJob(&b, info); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), strings.Replace(want, "for ", "for  ", 1)) || jobRemark(info) != want || !strings.HasSuffix(progressLine(info), want) {
		t.Errorf("%s\n%s\n%s", b.String(), jobRemark(info), progressLine(info))
	}
	info.Job.State = schema.JobCancelling
	if got, want := waitsFor(info), "step 5, shutdown-machine ph01 to end, at the latest at 2026-11-23 12:00:15; then what was done is taken back"; got != want {
		t.Errorf("cancelled, it waits for %q, want %q", got, want)
	}
	info.Job.State, st.Output = schema.JobRunning, map[string]string{"part": "force"}
	if got := waitsFor(info); got != "" {
		t.Errorf("forced off, it waits for %q", got)
	}
	if got, want := stepRemark(st), "it hasn't shut down within 15s, and is being forced off"; got != want {
		t.Errorf("remark %q, want %q", got, want)
	}
	st.State, st.Output = schema.StepDone, nil
	if got := waitsFor(info); got != "" {
		t.Errorf("off, it waits for %q", got)
	}
}

// A parked job shows each command that it may go on with, and what it means.
func TestJobShowTellsTheAnswers(t *testing.T) {
	job := &schema.Job{Id: "00008", State: schema.JobParked, Parked: "ph01 can't be proven off", ResumeWords: []string{fsm.WordOff, fsm.WordRetry, fsm.WordFailed}}
	for _, undoing := range []bool{false, true} {
		job.Undoing = undoing
		var b strings.Builder
		if err := writeJob(&b, &api.JobInfo{Job: job}); err != nil {
			t.Fatal(err)
		}
		want := `parked  ph01 can't be proven off
answer  pvmutl job resume 00008 off  # somebody has looked, and the machine is off
answer  pvmutl job resume 00008 retry  # look again, and try again
answer  pvmutl job resume 00008 failed  # it isn't done and won't be: the step has failed
`
		rollback := "or      pvmutl job rollback 00008  # take back what was done\n"
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), rollback) == undoing {
			t.Errorf("undoing %t:\n%s", undoing, b.String())
		}
	}
	for _, word := range []string{fsm.WordRetry, fsm.WordDone, fsm.WordFailed, fsm.WordOff, fsm.WordAgain} {
		if resumeWords[word] == "" {
			t.Errorf("nothing says what %q means", word)
		}
	}
}

// A certificate is shown by whom it is of.
func TestShortPEM(t *testing.T) {
	for text, want := range map[string]string{
		"iqn.2026": "iqn.2026",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "(private key)",
		testCertificate: "(certificate of CN=Yagura demo,O=yagura, until 2036-11-20)",
	} {
		if got := shortPEM(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBkjCCATegAwIBAgIQED//r5e7cDDPO9VrIR6/xDAKBggqhkjOPQQDAjAnMQ8w
DQYDVQQKEwZ5YWd1cmExFDASBgNVBAMTC1lhZ3VyYSBkZW1vMB4XDTI2MTEyMzA5
MjM1MloXDTM2MTEyMDA5Mjg1MlowJzEPMA0GA1UEChMGeWFndXJhMRQwEgYDVQQD
EwtZYWd1cmEgZGVtbzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGCAqwhCr3Ey
OR0Bqo+pNsJwLMtwemdyfyoq+CdSlHJe+6U/7HesFZxPeEkNNF4PGVo7K+N6mr9n
jj9NewEcWQ6jRTBDMA4GA1UdDwEB/wQEAwIBBjASBgNVHRMBAf8ECDAGAQH/AgEA
MB0GA1UdDgQWBBTfKdgIyhcRw2FRiQWSpURbbFC88zAKBggqhkjOPQQDAgNJADBG
AiEAkyKRmKH7jfmyOrOHpJvnloMWqjGIh2E6dLEsba+uqvECIQD/pxVoTxJkGQ/5
W/pZEwic/Cir4z15WQgHdvEwz5bSFQ==
-----END CERTIFICATE-----
`
