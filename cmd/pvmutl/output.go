package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Output formats of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// column is one column of a table: its title and a row's text.
type column[T any] struct {
	title string
	text  func(row T) string
}

// view says how rows of one type are shown.
type view[T any] struct {
	columns []column[T]
	json    func(b []byte, row T) []byte // appends the row as one JSON object
}

// rowJSON is view.json for rows that are shown as they are.
func rowJSON[T proto.Message](b []byte, row T) []byte {
	return appendJSON(b, row.ProtoReflect())
}

// printList prints rows in the format that was asked for. An empty list is
// the table's heading alone, or [].
func printList[T any](a *app, v view[T], rows []T) error {
	switch a.options.output {
	case formatJSON:
		return writeJSONList(a.stdout, v, rows)
	case formatYAML:
		var text bytes.Buffer
		if err := writeJSONList(&text, v, rows); err != nil {
			return err
		}
		return writeYAML(a.stdout, text.Bytes())
	}
	return writeTable(a.stdout, v.columns, rows)
}

// printOne prints one row: an object in JSON and YAML, else what table writes.
func printOne[T any](a *app, v view[T], row T, table func(w io.Writer) error) error {
	switch a.options.output {
	case formatJSON:
		return writeIndented(a.stdout, v.json(nil, row))
	case formatYAML:
		return writeYAML(a.stdout, v.json(nil, row))
	}
	return table(a.stdout)
}

// printLine prints one row of a list without an end: a line, in JSON an object
// on a line, in YAML a document.
func printLine[T any](a *app, v view[T], row T) error {
	switch a.options.output {
	case formatJSON:
		_, err := a.stdout.Write(append(v.json(nil, row), '\n'))
		return err
	case formatYAML:
		if _, err := io.WriteString(a.stdout, "---\n"); err != nil {
			return err
		}
		return writeYAML(a.stdout, v.json(nil, row))
	}
	words := make([]string, 0, len(v.columns))
	for _, col := range v.columns {
		words = append(words, cell(col.text(row)))
	}
	_, err := io.WriteString(a.stdout, strings.Join(words, "  ")+"\n")
	return err
}

// writeJSONList writes an array with one object a line: readable by jq and by
// line tools alike, and never wholly in memory.
func writeJSONList[T any](w io.Writer, v view[T], rows []T) error {
	if len(rows) == 0 {
		_, err := io.WriteString(w, "[]\n")
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	line := []byte("[\n")
	for i, row := range rows {
		if i > 0 {
			line = append(line, ",\n"...)
		}
		line = v.json(line, row)
		if _, err := out.Write(line); err != nil {
			return err
		}
		line = line[:0]
	}
	if _, err := out.WriteString("\n]\n"); err != nil {
		return err
	}
	return out.Flush()
}

// cell makes text fit for a cell: texts of traps and of other systems may hold
// line breaks and escape sequences, which must not reach a terminal.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return clean(text)
}

// clean replaces control characters by spaces.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// localTime is a time for people, in the local zone; empty when unset.
func localTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().In(time.Local).Format("2006-01-02 15:04:05")
}
