package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// writeDetails writes the fields of a row that are set, a line each, and more
// behind them.
func writeDetails(w io.Writer, m protoreflect.Message, more ...[2]string) error {
	var details [][2]string
	for _, f := range planOf(m.Descriptor()) {
		if m.Has(f.fd) {
			details = append(details, [2]string{string(f.fd.Name()), fieldText(m, f)})
		}
	}
	return writePairs(w, append(details, more...))
}

// machineDetails are what a machine's empty fields mean: the common pool, and
// that a machine in operation isn't polled.
func machineDetails(m *schema.Machine) [][2]string {
	var details [][2]string
	if machinePool(m) == commonPool {
		details = append(details, [2]string{"pool_groups", commonPool})
	}
	if m.Group != "" && m.Origin == "" {
		details = append(details, [2]string{"origin", commonPool})
	}
	if m.Group != "" && m.Monitored == nil {
		details = append(details, [2]string{"monitored", "no"})
	}
	return details
}

// shortPEM is a text for people: of a certificate or key whose it is; -o yaml
// has all of it.
func shortPEM(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return text
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "(" + strings.ToLower(block.Type) + ")"
	}
	return fmt.Sprintf("(certificate of %s, until %s)", cert.Subject, cert.NotAfter.Format(time.DateOnly))
}

// mapText is a map of texts for people, in the order of its keys.
func mapText(m protoreflect.Map) string {
	var words []string
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		words = append(words, k.String()+"="+v.String())
		return true
	})
	slices.Sort(words)
	return strings.Join(words, ", ")
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
	case f.fd.IsMap() && f.fd.MapValue().Kind() == protoreflect.StringKind:
		return mapText(v.Map())
	case f.fd.IsMap():
		return string(f.appendValue(nil, m))
	case f.fd.IsList():
		words := make([]string, v.List().Len())
		for i := range words {
			words[i] = valueText(f.fd, v.List().Get(i))
		}
		if f.fd.Message() != nil {
			return strings.Join(words, "; ")
		}
		return strings.Join(words, ", ")
	}
	return valueText(f.fd, v)
}

// valueText is one value for people: of a message the fields that are set.
func valueText(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if fd.Message() == nil {
		return shortPEM(v.String())
	}
	if t, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
		return localTime(t)
	}
	var words []string
	for _, f := range planOf(fd.Message()) {
		if v.Message().Has(f.fd) {
			words = append(words, string(f.fd.Name())+"="+fieldText(v.Message(), f))
		}
	}
	return strings.Join(words, " ")
}
