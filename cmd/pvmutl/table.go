package main

import (
	"io"
	"strings"

	"golang.org/x/text/width"
)

// writeTable writes rows under a heading in aligned columns. An empty cell is
// "-", so that a line has as many words as the heading has titles in all
// columns that hold no sentences.
func writeTable[T any](w io.Writer, columns []column[T], rows []T) error {
	lines := make([][]string, 0, len(rows)+1)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	lines = append(lines, titles)
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = cell(c.text(row))
		}
		lines = append(lines, cells)
	}
	return writeLines(w, lines)
}

// writeLines writes cells in columns as wide as their widest cell, two spaces
// apart. All lines have the same number of cells.
func writeLines(w io.Writer, lines [][]string) error {
	var widths []int
	for _, cells := range lines {
		for i, text := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], displayWidth(text))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		for i, text := range cells {
			b.WriteString(text)
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-displayWidth(text)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// displayWidth is how many places a text takes on a terminal: a Japanese
// character takes two.
func displayWidth(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r >= 0x1100 {
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				n++
			}
		}
	}
	return n
}
