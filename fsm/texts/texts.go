// Package texts puts entries of the event log into words, in English or
// Japanese, for those who are told of them. An entry's own text, written when
// it was recorded, is English and says everything; the table here says what
// kind of entry it is, and what to do, by event id, operation and phase. It
// imports rows alone.
package texts

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"

	"yagura/fsm/schema"
)

//go:embed texts.csv
var table string

// Entry is what the table says of one kind of entry, in one language.
type Entry struct {
	Title  string
	Remedy string // what to do; empty: nothing
}

type kind struct{ id, operation, phase string }

// row is a line of the table; several may be of one kind.
type row struct {
	source string
	byLang map[string]Entry
}

var rows = load()

func load() map[kind][]row {
	all, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(all) < 2 || len(all[0]) != 8 {
		panic(fmt.Sprintf("texts: the table is damaged: %v", err)) // it is part of the program
	}
	out := map[kind][]row{}
	for _, r := range all[1:] {
		k := kind{r[1], r[2], r[3]}
		out[k] = append(out[k], row{r[0], map[string]Entry{
			schema.LanguageEnglish: {r[4], r[5]}, schema.LanguageJapanese: {r[6], r[7]},
		}})
	}
	return out
}

// find finds the rows of an event's kind. An action without entries of its own
// is logged as that of a policy.
func find(e *schema.Event) []row {
	if found := rows[kind{e.EventId, e.Operation, e.Phase}]; len(found) > 0 {
		return found
	}
	return rows[kind{e.EventId, "policy-action", e.Phase}]
}

// Of is what the table says of an event in a language, English for an unknown
// one. An event of no kind in the table is called by its own text.
func Of(language string, e *schema.Event) Entry {
	found := find(e)
	if len(found) == 0 {
		return Entry{Title: e.Text}
	}
	best := found[0]
	for _, r := range found {
		if strings.Contains(e.Text, r.byLang[schema.LanguageEnglish].Title) {
			best = r
			break
		}
	}
	if t, ok := best.byLang[language]; ok {
		return t
	}
	return best.byLang[schema.LanguageEnglish]
}

// words are the fixed words of messages.
type words struct {
	severity                                        map[string]string
	machine, group, job, event, remedy, detail      string
	entries, counts, kinds, first, more, listed, at string
}

var wordsOf = map[string]words{
	schema.LanguageEnglish: {
		severity: map[string]string{schema.SeverityInfo: "information", schema.SeverityWarning: "warning", schema.SeverityError: "error"},
		machine:  "Machine", group: "Group", job: "Job", event: "Event", remedy: "What to do", detail: "Details",
		entries: "%d entries", counts: "%d error, %d warning, %d information", kinds: "How often what happened:", first: "The entries:",
		more: "and %d more", listed: "All of them: pvmutl event list", at: "Time",
	},
	schema.LanguageJapanese: {
		severity: map[string]string{schema.SeverityInfo: "情報", schema.SeverityWarning: "警告", schema.SeverityError: "異常"},
		machine:  "マシン", group: "グループ", job: "ジョブ", event: "イベント", remedy: "対処", detail: "詳細",
		entries: "通知 %d 件", counts: "異常 %d 件、警告 %d 件、情報 %d 件", kinds: "種類ごとの件数:", first: "内容:",
		more: "ほか %d 件", listed: "すべての一覧: pvmutl event list", at: "時刻",
	},
}

func in(language string) words {
	if w, ok := wordsOf[language]; ok {
		return w
	}
	return wordsOf[schema.LanguageEnglish]
}
