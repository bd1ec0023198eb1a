package main

import (
	"fmt"
	"io"
	"sync"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// progress tells on stderr how jobs come along: one line that is redrawn on a
// terminal, a line for each change with --verbose, else only that a running job
// waits for another system.
type progress struct {
	w      io.Writer
	redraw bool
	lines  bool
	width  func() int
	total  int

	mu    sync.Mutex // guards all below, and w
	ended map[string]bool
	last  map[string]string // line shown last, by job
	waits map[string]string // what a job was last told to wait for
	drawn bool
}

func newProgress(a *app, total int) *progress {
	return &progress{
		w: a.stderr, lines: a.options.verbose, redraw: a.stderrTTY && !a.options.verbose, width: a.width,
		total: total, ended: map[string]bool{}, last: map[string]string{}, waits: map[string]string{},
	}
}

// show tells of a job's change.
func (p *progress) show(info *api.JobInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	job := info.GetJob()
	if schema.JobEnded(job.GetState()) || job.GetState() == schema.JobParked {
		p.ended[job.GetId()] = true
	}
	line := clean(progressLine(info))
	if p.last[job.GetId()] == line {
		return
	}
	p.last[job.GetId()] = line
	stuck := job.GetState() == schema.JobRunning && job.GetWaiting() != "" && p.waits[job.GetId()] != job.GetWaiting()
	if stuck {
		p.waits[job.GetId()] = job.GetWaiting() // once, however often it looks again
	}
	switch {
	case p.lines, stuck && !p.redraw:
		fmt.Fprintln(p.w, line)
	case p.redraw:
		if p.total > 1 {
			line = fmt.Sprintf("%d of %d jobs ended; %s", len(p.ended), p.total, line)
		}
		if runes := []rune(line); len(runes) > p.width()-1 {
			line = string(runes[:p.width()-1])
		}
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.drawn = true
	}
}

// clear takes the redrawn line away.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// progressLine is a job's state in a line: what it does now, or waits for.
func progressLine(info *api.JobInfo) string {
	job := info.GetJob()
	line := fmt.Sprintf("%s %s %d %%", jobTitle(job), job.GetState(), job.GetProgress())
	if text := waitsFor(info); text != "" {
		return line + ", waits for " + text
	}
	for _, s := range info.GetSteps() {
		if s.Number == job.GetCurrent() && !schema.JobEnded(job.GetState()) {
			line += fmt.Sprintf(", step %d of %d: %s %s", s.Number, len(info.Steps), s.Name, s.Target)
		}
	}
	return line
}
