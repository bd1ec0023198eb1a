package main

import (
	"io"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// writeDetails writes the fields of a row that are set, a line each.
func writeDetails(w io.Writer, m protoreflect.Message) error {
	var details [][2]string
	for _, f := range planOf(m.Descriptor()) {
		if m.Has(f.fd) {
			details = append(details, [2]string{string(f.fd.Name()), fieldText(m, f)})
		}
	}
	return writePairs(w, details)
}

// writePairs writes names and values in two columns; pairs without a value
// are left out.
func writePairs(w io.Writer, pairs [][2]string) error {
	var lines [][]string
	for _, p := range pairs {
		if p[1] != "" {
			lines = append(lines, []string{strings.ReplaceAll(p[0], "_", " "), clean(p[1])})
		}
	}
	return writeLines(w, lines)
}

// fieldText is a field's value for people.
func fieldText(m protoreflect.Message, f jsonField) string {
	v := m.Get(f.fd)
	switch {
	case f.fd.IsList() && f.fd.Kind() == protoreflect.StringKind:
		words := make([]string, v.List().Len())
		for i := range words {
			words[i] = v.List().Get(i).String()
		}
		return strings.Join(words, ", ")
	case !f.fd.IsList() && !f.fd.IsMap() && f.fd.Message() != nil:
		if t, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			return localTime(t)
		}
	case f.fd.Kind() == protoreflect.StringKind && !f.fd.IsMap():
		return v.String()
	}
	return string(f.appendValue(nil, m))
}
