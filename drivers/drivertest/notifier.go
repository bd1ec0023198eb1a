package drivertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
)

// Arrived is what a receiver has got, as its own programs read it.
type Arrived struct {
	ID   string // by which it recognises duplicates
	Text string
}

// NotifierWorld is a receiver of messages under test.
type NotifierWorld struct {
	// Part names what receives.
	Part string
	// Open returns a new sender.
	Open func(t *testing.T) drivers.Notifier
	// Each is true when each note arrives by itself, under its own id.
	Each bool
	// Arrived is everything that has arrived so far, the oldest first. Empty
	// lines and what stands around a text may differ from what was sent.
	Arrived func(t *testing.T) []Arrived
	// Down ends the receiver.
	Down func(t *testing.T)
	// Mute returns a sender to a receiver that accepts contact and says nothing.
	// nil: the protocol has no answers.
	Mute func(t *testing.T) drivers.Notifier
	// Stranger returns a sender to the receiver with Secret, which is wrong. nil:
	// the receiver doesn't look.
	Stranger func(t *testing.T, secret string) drivers.Notifier
	// Untrusted returns a sender that doesn't trust the receiver's certificate.
	// nil: there is no certificate.
	Untrusted func(t *testing.T) drivers.Notifier
}

// RunNotifier runs the suite. world makes a fresh world.
func RunNotifier(t *testing.T, world func(t *testing.T) NotifierWorld) {
	each(t, 2*patience, []test[*notifier]{
		{"Arrives", testArrives},
		{"SeveralNotes", testSeveralNotes},
		{"SentAgainHasTheSameID", testSentAgain},
		{"HostileTexts", testHostileTexts},
		{"Down", testNotifierDown},
		{"Mute", testNotifierMute},
		{"WrongSecret", testWrongSecret},
		{"UntrustedCertificate", testUntrusted},
		{"EndedContextDoesNothing", testNotifierEnded},
	}, func(t *testing.T, ctx context.Context) *notifier {
		w := world(t)
		t.Logf("real part: %s", w.Part)
		return &notifier{T: t, ctx: ctx, w: w}
	})
}

// notifier is one running subtest.
type notifier struct {
	*testing.T
	ctx context.Context
	w   NotifierWorld
}

// note is the n-th note.
func note(n int, text string) drivers.Note {
	return drivers.Note{
		ID: fmt.Sprintf("c0ffee-%d", n), Event: fmt.Sprint(100 + n), Time: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC), Severity: "warning", About: "warning",
		EventID: "2064", Source: "PVM", Operation: "move-machine", Phase: "failed", Target: "vm7", Group: "web", Job: "00012", Language: "en", Text: text,
	}
}

func message(notes ...drivers.Note) drivers.Message {
	var body []string
	for _, n := range notes {
		body = append(body, n.Text)
	}
	return drivers.Message{ID: notes[0].ID, Subject: notes[0].Text, Body: strings.Join(body, "\n"), Notes: notes}
}

func (s *notifier) send(m drivers.Message) {
	s.Helper()
	if _, err := s.w.Open(s.T).Notify(s.ctx, m); err != nil {
		s.Fatal(err)
	}
}

// await waits until n have arrived, and fails when there are more.
func (s *notifier) await(n int) []Arrived {
	s.Helper()
	for {
		got := s.w.Arrived(s.T)
		if len(got) > n || s.ctx.Err() != nil {
			s.Fatalf("%d have arrived, want %d: %q", len(got), n, got)
		}
		if len(got) == n {
			return got
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func testArrives(s *notifier) {
	s.send(message(note(1, "仮想マシン vm7 の移動に失敗しました: 空きがありません")))
	if got := s.await(1)[0]; got.ID != "c0ffee-1" || !strings.Contains(got.Text, "仮想マシン vm7 の移動に失敗しました: 空きがありません") {
		s.Errorf("%q", got)
	}
}

func testSeveralNotes(s *notifier) {
	s.send(message(note(1, "first"), note(2, "second"), note(3, "third")))
	if !s.w.Each {
		got := s.await(1)[0]
		for _, want := range []string{"first", "second", "third"} {
			if !strings.Contains(got.Text, want) {
				s.Errorf("no %q in %q", want, got)
			}
		}
		return
	}
	for i, got := range s.await(3) {
		if want := []string{"first", "second", "third"}[i]; got.ID != fmt.Sprintf("c0ffee-%d", i+1) || !strings.Contains(got.Text, want) {
			s.Errorf("%q, want %s", got, want)
		}
	}
}

func testSentAgain(s *notifier) {
	m := message(note(1, "once or twice"))
	s.send(m)
	s.send(m)
	got := s.await(2)
	if got[0].ID != "c0ffee-1" || got[1].ID != got[0].ID {
		s.Errorf("%q", got)
	}
}

func testHostileTexts(s *notifier) {
	texts := []string{
		"line\r\nX-Injected: yes\r\n\r\nbody", "line\n<11>1 - forged yagura - - - forged", "a\x00b\x1b[2Jc", "\n.\nQUIT\n", "] \" \\ ] forged=\"yes\"",
		"MESSAGE=forged\nPRIORITY=0\n", strings.Repeat("長", 5000), "\xff\xfe broken", "",
	}
	for i, text := range texts {
		n := note(i+1, "begin "+text)
		n.Target, n.Group = "vm7"+text, text
		m := message(n)
		s.send(m)
		got := s.await(i + 1)[i]
		if got.ID != n.ID || !strings.Contains(got.Text, "begin") {
			s.Errorf("%.80q has become %.200q", text, got)
		}
	}
}

func testNotifierDown(s *notifier) {
	s.w.Down(s.T)
	_, err := s.w.Open(s.T).Notify(s.ctx, message(note(1, "nobody is there")))
	if k := drivers.KindOf(err); err == nil || k != drivers.KindUnreachable {
		s.Errorf("%v: %s", err, k)
	}
}

func testNotifierMute(s *notifier) {
	if s.w.Mute == nil {
		s.Log("this protocol has no answers to wait for")
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := s.w.Mute(s.T).Notify(ctx, message(note(1, "nobody answers")))
	if k := drivers.KindOf(err); err == nil || k != drivers.KindUnreachable && k != drivers.KindUnknown {
		s.Errorf("%v: %s", err, k)
	}
	if d := time.Since(begun); d > patience/2 {
		s.Errorf("it took %s to notice that the time was over", d)
	}
}

func testWrongSecret(s *notifier) {
	if s.w.Stranger == nil {
		s.Log("this receiver doesn't look at credentials")
		return
	}
	const secret = "wr0ng-s3cret"
	_, err := s.w.Stranger(s.T, secret).Notify(s.ctx, message(note(1, "let me in")))
	if drivers.KindOf(err) != drivers.KindAuth {
		s.Errorf("%v: %s", err, drivers.KindOf(err))
	}
	if err != nil && strings.Contains(fmt.Sprintf("%+v", err), secret) {
		s.Errorf("the error has the secret in it: %v", err)
	}
	s.await(0)
}

func testUntrusted(s *notifier) {
	if s.w.Untrusted == nil {
		s.Log("this receiver has no certificate")
		return
	}
	if _, err := s.w.Untrusted(s.T).Notify(s.ctx, message(note(1, "who are you"))); drivers.KindOf(err) != drivers.KindAuth {
		s.Errorf("%v: %s", err, drivers.KindOf(err))
	}
	s.await(0)
}

func testNotifierEnded(s *notifier) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.w.Open(s.T).Notify(ctx, message(note(1, "too late"))); drivers.KindOf(err) != drivers.KindExpired {
		s.Errorf("%v: %s", err, drivers.KindOf(err))
	}
	s.await(0)
}
