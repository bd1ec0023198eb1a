package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm/schema"
)

// writeIndented writes a JSON value for people as well as for programs.
func writeIndented(w io.Writer, text []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return schema.Errorf(schema.KindInternal, "output", "%v", err)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// writeYAML writes JSON as YAML in block style, with the fields in their order.
func writeYAML(w io.Writer, text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
		return schema.Errorf(schema.KindInternal, "output", "%v", err)
	}
	blockStyle(&doc)
	return encodeYAML(w, &doc)
}

// blockStyle drops the flow style and the quotes of JSON; the encoder quotes
// again what would else be read as something other than text.
func blockStyle(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		*n = *textNode(n.Value)
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

func encodeYAML(w io.Writer, nodes ...*yaml.Node) error {
	if len(nodes) == 0 {
		return nil // the encoder would complain
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	for _, n := range nodes {
		if err := enc.Encode(n); err != nil {
			return err
		}
	}
	return enc.Close()
}

// documentNode is an object as apply takes it: kind, name, spec.
func documentNode(kind, name string, spec *structpb.Struct) *yaml.Node {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	addField(doc, "kind", textNode(kind))
	addField(doc, "name", textNode(name))
	addField(doc, "spec", valueNode(structpb.NewStructValue(spec)))
	return doc
}

func addField(mapping *yaml.Node, key string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, textNode(key), value)
}

// textNode makes a text. One that some reader of YAML would take for something
// else (a number, a time, yes, on) is quoted: yaml's own encoder knows them all,
// but takes its time, so it is asked about short and number-like words only.
func textNode(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	if len(s) < 6 || strings.ContainsRune("0123456789+-.", rune(s[0])) {
		encoded := new(yaml.Node)
		if err := encoded.Encode(s); err == nil && encoded.Tag == "!!str" {
			return encoded
		}
		n.Style = yaml.DoubleQuotedStyle // such as <<, which the encoder leaves bare
	}
	return n
}

// valueNode turns a spec's value into YAML, the fields by name.
func valueNode(v *structpb.Value) *yaml.Node {
	switch v := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		fields := v.StructValue.GetFields()
		keys := make([]string, 0, len(fields))
		for key := range fields {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range keys {
			addField(n, key, valueNode(fields[key]))
		}
		return n
	case *structpb.Value_ListValue:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v.ListValue.GetValues() {
			n.Content = append(n.Content, valueNode(item))
		}
		return n
	case *structpb.Value_StringValue:
		return textNode(v.StringValue)
	case *structpb.Value_BoolValue:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v.BoolValue)}
	case *structpb.Value_NumberValue:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: numberText(v.NumberValue)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// numberText writes whole numbers without an exponent, as people do.
func numberText(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
