package texts

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

func japanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) })
}

// TestEveryEntryHasBothLanguages holds the table against the event log's list.
func TestEveryEntryHasBothLanguages(t *testing.T) {
	seen := map[string]string{}
	if n := len(catalog.Entries()); n != 85 {
		t.Fatalf("%d entries, the manual has 85", n)
	}
	for _, c := range catalog.Entries() {
		e := &schema.Event{Source: c.Source, EventId: c.ID, Operation: c.Operation, Phase: c.Phase, Text: c.Text + ", job 00012"}
		en, ja := Of(schema.LanguageEnglish, e), Of(schema.LanguageJapanese, e)
		if en.Title != c.Text || en.Remedy != c.Remedy {
			t.Errorf("%s %s %s in English: %+v, the list has %q, %q", c.ID, c.Operation, c.Phase, en, c.Text, c.Remedy)
		}
		if !japanese(ja.Title) || (ja.Remedy != "") != (c.Remedy != "") || c.Remedy != "" && !japanese(ja.Remedy) {
			t.Errorf("%s %s %s in Japanese: %+v", c.ID, c.Operation, c.Phase, ja)
		}
		if was, ok := seen[ja.Title]; ok && was != c.Text {
			t.Errorf("%q stands for both %q and %q", ja.Title, was, c.Text)
		}
		seen[ja.Title] = c.Text
	}
	for k, all := range rows {
		for _, r := range all {
			if !japanese(r.byLang[schema.LanguageJapanese].Title) || r.byLang[schema.LanguageEnglish].Title == "" {
				t.Errorf("%v: %+v", k, r)
			}
		}
	}
}

func event(id, eventID, severity, operation, phase, target, text string) *schema.Event {
	return &schema.Event{
		Id: id, Source: "PVM", EventId: eventID, Severity: severity, Operation: operation, Phase: phase, Target: target, Group: "web", Job: "00007", Text: text,
		Time: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
}

func TestOneEntry(t *testing.T) {
	e := event("12", "2064", "warning", "move-machine", "failed", "vm7", "Move of a VM to another VM server: failed, job 00007, vm7: no space")
	for language, want := range map[string][]string{
		"en": {"[Yagura] warning: Move of a VM to another VM server: failed, job 00007, vm7: no space", "What to do: Look up the cause in the job", "2026-01-02T03:04:05Z", "Event: 12 PVM[2064]"},
		"ja": {"[Yagura] 警告: 別の VM サーバへの VM の移動に失敗しました (vm7)", "マシン: vm7", "グループ: web", "ジョブ: 00007", "対処: ジョブの記録", "詳細: Move of a VM", "イベント: 12 PVM[2064]"},
		"xx": {"[Yagura] warning: "},
	} {
		got := Subject(language, []*schema.Event{e}) + "\n" + Body(language, []*schema.Event{e})
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", language, w, got)
			}
		}
	}
	// An entry of no kind in the table speaks for itself.
	if got := Of("ja", event("1", "9", "info", "dance", "begun", "", "it dances")); got.Title != "it dances" {
		t.Errorf("%+v", got)
	}
	// An action without entries of its own is called one of a policy.
	if got := Of("ja", event("1", "502", "info", "failover", "completed", "", "Failover: completed")); got.Title != "ポリシーのアクションが完了しました" {
		t.Errorf("%+v", got)
	}
}

func TestBundleCounts(t *testing.T) {
	var events []*schema.Event
	for i := range 1000 {
		e := event(fmt.Sprint(i+1), "2021", "info", "startup-machine", "started", fmt.Sprintf("vm%d", i), "Start of a machine: started")
		if i%100 == 0 {
			e = event(fmt.Sprint(i+1), "2023", "warning", "startup-machine", "failed", fmt.Sprintf("vm%d", i), "Start of a machine: failed")
		}
		events = append(events, e)
	}
	en, ja := Subject("en", events)+"\n"+Body("en", events), Subject("ja", events)+"\n"+Body("ja", events)
	for _, want := range []string{
		"[Yagura] 1000 entries: 0 error, 10 warning, 990 information\n", "     990  PVM[2021] information Start of a machine: started\n",
		"      10  PVM[2023] warning Start of a machine: failed\n", "and 900 more",
	} {
		if !strings.Contains(en, want) {
			t.Errorf("no %q in\n%s", want, en)
		}
	}
	for _, want := range []string{"通知 1000 件: 異常 0 件、警告 10 件、情報 990 件\n", "     990  PVM[2021] 情報 マシンの起動を開始しました\n", "ほか 900 件"} {
		if !strings.Contains(ja, want) {
			t.Errorf("no %q in\n%s", want, ja)
		}
	}
	// The worse come first, and so none of them is left out.
	if !strings.Contains(en, "warning 901: ") || strings.Count(en, "\n") > 200 {
		t.Errorf("the last warning isn't listed, or too much is:\n%s", en)
	}
}
