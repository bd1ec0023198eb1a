package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// startJobs makes the fake manager answer Power with these jobs.
func (f *fakeManager) startJobs(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers["Power"] = &api.JobsReply{Jobs: ids}
}

// TestOutcomes holds the exit code and the message of each way a job can end.
func TestOutcomes(t *testing.T) {
	parked := jobIn("7", schema.JobParked, 40, schema.StepStarted)
	parked.Job.Parked, parked.Job.ResumeWords = "no BMC of esx02 answers", []string{"off", "wait"}
	told := jobIn("7", schema.JobParked, 40, schema.StepStarted)
	told.Job.Parked, told.Job.ResumeWords = "the script may have run; look, then: pvmutl job resume 7 {done|retry}", []string{"done", "retry"}
	toldUndoing, undoing := proto.Clone(told).(*api.JobInfo), proto.Clone(parked).(*api.JobInfo)
	toldUndoing.Job.Undoing, undoing.Job.Undoing = true, true
	cancelled := jobIn("7", schema.JobCancelled, 40, schema.StepDone)
	cancelled.Job.CancelBy = "tanaka"
	for _, test := range []struct {
		name string
		job  *api.JobInfo
		code int
		want string
	}{
		{"succeeded", jobIn("7", schema.JobSucceeded, 100, schema.StepDone), 0, ""},
		{"failed inside", failed(jobIn("7", schema.JobFailed, 60, schema.StepDone, schema.StepFailed), schema.KindUnavailable, "machine web01: no answer; look at it"), 7,
			"pvmutl: job 7 (MoveMachine web01): failed: machine web01: no answer; look at it; put right what was wrong and let it go on with \"pvmutl job resume 7\", " +
				"or undo what was done with \"pvmutl job rollback 7\"; its steps: pvmutl job show 7\n"},
		{"failed inside for want of a machine", failed(jobIn("7", schema.JobFailed, 60, schema.StepFailed), schema.KindMachineNotFound, "gone"), 7, "failed: gone"},
		{"failed before its first step", failed(jobIn("7", schema.JobFailed, 0, schema.StepPending), schema.KindTooFewMachines, "pool db: it is empty"), 5, "failed: pool db: it is empty\n"},
		{"failed without reaching a step", failed(jobIn("7", schema.JobFailed, 0, schema.StepSkipped), schema.KindTooFewMachines, "pool db: it is empty"), 5, "failed: pool db: it is empty\n"},
		{"failed without a kind", failed(jobIn("7", schema.JobFailed, 0), "", "unclear"), 7, "failed: unclear"},
		{"cancelled", cancelled, 28, "cancelled by tanaka; look at its machines"},
		{"parked with the answer", told, 29, `look, then: pvmutl job resume 7 {done|retry}; or undo it with "pvmutl job rollback 7"`},
		{"parked", parked, 29, `parked: no BMC of esx02 answers; answer with "pvmutl job resume 7 off|wait", or undo it with "pvmutl job rollback 7"`},
		{"parked with the answer, undoing", toldUndoing, 29, "pvmutl job resume 7 {done|retry}; what the answers mean: pvmutl job show 7\n"},
		{"parked, undoing", undoing, 29, `answer with "pvmutl job resume 7 off|wait"` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.startJobs("7")
			f.jobs["7"] = []*api.JobInfo{test.job}
			c := consoleFor(t, f)
			if code := c.run("poweron", "web"); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if got := c.stderr.String(); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("message %q, want %q", got, test.want)
			}
			if !strings.Contains(c.stdout.String(), "web01    "+test.job.Job.State) {
				t.Errorf("output %s", c.stdout.String())
			}
		})
	}
}

// TestManyJobs holds that each of many jobs is reported, in order, and that
// the first failure gives the exit code.
func TestManyJobs(t *testing.T) {
	f := newFake(t)
	var ids []string
	for i := range 50 {
		id := fmt.Sprintf("%05d", i)
		ids = append(ids, id)
		f.jobs[id] = []*api.JobInfo{jobIn(id, schema.JobRunning, 50, schema.StepStarted), jobIn(id, schema.JobSucceeded, 100, schema.StepDone)}
	}
	f.jobs["00020"] = []*api.JobInfo{failed(jobIn("00020", schema.JobFailed, 0), schema.KindHostSetting, "no host setting is free")}
	f.jobs["00030"] = []*api.JobInfo{failed(jobIn("00030", schema.JobFailed, 10, schema.StepFailed), schema.KindTimeout, "slow")}
	f.startJobs(ids...)
	c := consoleFor(t, f)
	if code := c.run("shutdown", "web", "-o", "json"); code != 4 {
		t.Errorf("exit code %d", code)
	}
	var got []struct{ ID, State string }
	if err := json.Unmarshal(c.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i, job := range got {
		if job.ID != ids[i] {
			t.Errorf("job %d is %s", i, job.ID)
		}
	}
	if lines := strings.Count(c.stderr.String(), "\n"); len(got) != 50 || lines != 2 {
		t.Errorf("%d jobs, messages %s", len(got), c.stderr.String())
	}
}

// TestNothingToDo holds the answer to a command that started no job.
func TestNothingToDo(t *testing.T) {
	f := newFake(t)
	f.startJobs()
	c := consoleFor(t, f)
	if code := c.run("poweron", "web"); code != 0 || c.stdout.String() != "nothing to do\n" {
		t.Errorf("exit code %d, output %q", code, c.stdout.String())
	}
	c = consoleFor(t, f)
	if code := c.run("poweron", "web", "-o", "json"); code != 0 || c.stdout.String() != "[]\n" {
		t.Errorf("exit code %d, output %q", code, c.stdout.String())
	}
}

// TestWatchAttachesAgain holds that losing a manager doesn't end the wait.
func TestWatchAttachesAgain(t *testing.T) {
	f := newFake(t)
	f.startJobs("7")
	f.jobs["7"] = []*api.JobInfo{jobIn("7", schema.JobRunning, 50, schema.StepStarted), jobIn("7", schema.JobSucceeded, 100, schema.StepDone)}
	f.broken["7"] = 2
	c := consoleFor(t, f)
	if code := c.run("poweron", "web"); code != 0 {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	watches := 0
	for _, call := range f.recorded() {
		if call.method == "WatchJob" {
			watches++
		}
	}
	if watches != 3 {
		t.Errorf("%d watches", watches)
	}
}

// signalWriter calls back when something is written.
type signalWriter struct {
	text    strings.Builder
	written func()
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.written()
	return w.text.Write(p)
}

// TestCtrlC holds that Ctrl-C ends the wait and not the job.
func TestCtrlC(t *testing.T) {
	f := newFake(t)
	f.startJobs("00007", "00008")
	f.jobs["00007"] = []*api.JobInfo{jobIn("00007", schema.JobRunning, 50, schema.StepStarted)}
	f.jobs["00008"] = f.jobs["00007"]
	c := consoleFor(t, f)
	a := c.app()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	message := &signalWriter{written: cancel} // by the first progress line
	a.stderr, a.stderrTTY = message, true
	if code := a.run(ctx, []string{"reboot", "web"}); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	want := `the cluster goes on with job 00007, 00008; see it with "pvmutl job show 00007", end it with "pvmutl ascancel 00007"`
	if !strings.Contains(message.text.String(), want) {
		t.Errorf("message %s", message.text.String())
	}
	for _, call := range f.recorded() {
		if call.method == "CancelJob" {
			t.Error("the job was cancelled")
		}
	}
}

// TestTimeoutOfWait holds that --timeout bounds the wait when it is given.
func TestTimeoutOfWait(t *testing.T) {
	f := newFake(t)
	f.startJobs("7")
	f.jobs["7"] = []*api.JobInfo{jobIn("7", schema.JobRunning, 50, schema.StepStarted)}
	c := consoleFor(t, f)
	started := time.Now()
	code := c.run("reboot", "web", "--timeout", "1500ms")
	if code != 26 || !strings.Contains(c.stderr.String(), "it is still running at 50 %; the cluster goes on with it: pvmutl job show 7\n") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	if took := time.Since(started); took < 1500*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestUnknownJob holds the error of a wait for a job that isn't there.
func TestUnknownJob(t *testing.T) {
	f := newFake(t)
	c := consoleFor(t, f)
	if code := c.run("job", "wait", "99"); code != 20 || !strings.Contains(c.stderr.String(), "pvmutl: job 00099: there is no such job") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestSilentSystemIsTold holds that who waits without a terminal hears why a
// job doesn't come along, and nothing of one that does.
func TestSilentSystemIsTold(t *testing.T) {
	f := newFake(t)
	f.startJobs("7")
	stuck := jobIn("7", schema.JobRunning, 0, schema.StepStarted)
	stuck.Job.Waiting = "an answer: vc1: unreachable"
	f.jobs["7"] = []*api.JobInfo{jobIn("7", schema.JobRunning, 0, schema.StepStarted), stuck, jobIn("7", schema.JobRunning, 0, schema.StepStarted), stuck, jobIn("7", schema.JobSucceeded, 100, schema.StepDone)}
	c := consoleFor(t, f)
	if code := c.run("poweron", "web"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got, want := c.stderr.String(), "job 7 (MoveMachine web01) running 0 %, waits for an answer: vc1: unreachable\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
