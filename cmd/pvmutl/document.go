package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Limits on what apply reads.
const (
	maxInput = 32 << 20 // bytes of all files together
	maxNodes = 2 << 20  // values of one document, aliases expanded
	maxDepth = 64       // levels of one document
)

// loaded are documents and where each of them stands.
type loaded struct {
	documents []*api.Document
	places    []place // of documents, one for one
	size      int64   // bytes read so far
}

// place is a position in a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// errorf makes the error of a document that stands at p.
func (p place) errorf(format string, args ...any) *schema.Error {
	return schema.Errorf(schema.KindInvalid, p.String(), format, args...).WithHint("nothing was changed")
}

// at is the place of a node in p's file.
func (p place) at(n *yaml.Node) place { return place{p.file, n.Line} }

// load reads the documents of a file, of a folder's *.yaml files in the order
// of their names, or of stdin when path is "-".
func (l *loaded) load(path string, stdin io.Reader) error {
	if path == "-" {
		return l.read("stdin", stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fileError(path, err)
	}
	if !info.IsDir() {
		return l.readFile(path)
	}
	files, err := filepath.Glob(filepath.Join(escapeGlob(path), "*.yaml"))
	if err != nil {
		return fileError(path, err)
	}
	if len(files) == 0 {
		return schema.Errorf(schema.KindInvalid, path, "the folder holds no *.yaml file")
	}
	sort.Strings(files)
	for _, file := range files {
		if err := l.readFile(file); err != nil {
			return err
		}
	}
	return nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// fileError is the error of a file that can't be read or written.
func fileError(path string, err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &schema.Error{Kind: schema.KindInvalid, Object: path, Msg: err.Error()}
}

func (l *loaded) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fileError(path, err)
	}
	defer f.Close()
	return l.read(path, f)
}

// read adds the documents of one stream.
func (l *loaded) read(file string, r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxInput-l.size+1))
	if err != nil {
		return fileError(file, err)
	}
	if l.size += int64(len(text)); l.size > maxInput {
		return schema.Errorf(schema.KindTooLarge, file, "the documents are larger than %d MiB together", maxInput>>20).
			WithHint("apply them in several calls")
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return schema.Errorf(schema.KindInvalid, file, "%v", err).WithHint("nothing was changed")
		}
		if err := l.add(place{file, doc.Line}, &doc); err != nil {
			return err
		}
	}
}

// add takes one YAML document; one without content is passed over.
func (l *loaded) add(at place, doc *yaml.Node) error {
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil
	}
	at = at.at(root)
	if root.Kind != yaml.MappingNode {
		return at.errorf("a document must have the fields kind, name and spec")
	}
	out := &api.Document{Spec: &structpb.Struct{}}
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if seen[key.Value] {
			return at.at(key).errorf("field %q is there twice", key.Value)
		}
		seen[key.Value] = true
		if err := setField(out, at, key, value); err != nil {
			return err
		}
	}
	if out.Kind == "" || out.Name == "" {
		missing := "kind"
		if out.Kind != "" {
			missing = "name"
		}
		return at.errorf("the document has no %s", missing)
	}
	l.documents = append(l.documents, out)
	l.places = append(l.places, at)
	return nil
}

func setField(doc *api.Document, at place, key, value *yaml.Node) error {
	switch key.Value {
	case "kind":
		word, err := scalarText(at, key, value)
		if err != nil {
			return err
		}
		k, err := kindByName(word)
		if err != nil {
			return at.at(value).errorf("%v", err)
		}
		doc.Kind = k.name
	case "name":
		word, err := scalarText(at, key, value)
		if err != nil {
			return err
		}
		doc.Name = word
	case "spec":
		c := converter{at: at}
		spec, err := c.value(value, 0)
		if err != nil {
			return err
		}
		switch spec.GetKind().(type) {
		case *structpb.Value_StructValue:
			doc.Spec = spec.GetStructValue()
		case *structpb.Value_NullValue:
		default:
			return at.at(value).errorf("spec must be a mapping of fields")
		}
	default:
		return at.at(key).errorf("unknown field %q; a document has kind, name and spec", key.Value)
	}
	return nil
}

// scalarText is the text of a name, which needs no quotes even if it looks
// like a number.
func scalarText(at place, key, value *yaml.Node) (string, error) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null" || value.Value == "" {
		return "", at.at(key).errorf("%s must be a word", key.Value)
	}
	return value.Value, nil
}

// converter turns YAML into the values that travel to the server.
type converter struct {
	at    place
	nodes int // converted so far: aliases may not blow up a small file
}

func (c *converter) value(n *yaml.Node, depth int) (*structpb.Value, error) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return nil, c.at.at(n).errorf("the document is too large or too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		list := &structpb.ListValue{Values: make([]*structpb.Value, 0, len(n.Content))}
		for _, item := range n.Content {
			v, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list.Values = append(list.Values, v)
		}
		return structpb.NewListValue(list), nil
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return nil, c.at.at(n).errorf("unexpected content")
}

func (c *converter) mapping(n *yaml.Node, depth int) (*structpb.Value, error) {
	fields := make(map[string]*structpb.Value, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, c.at.at(key).errorf("a field's name must be a word")
		}
		if fields[key.Value] != nil {
			return nil, c.at.at(key).errorf("field %q is there twice", key.Value)
		}
		v, err := c.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		fields[key.Value] = v
	}
	return structpb.NewStructValue(&structpb.Struct{Fields: fields}), nil
}

func (c *converter) scalar(n *yaml.Node) (*structpb.Value, error) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return structpb.NewStringValue(n.Value), nil
	case "!!null":
		return structpb.NewNullValue(), nil
	case "!!bool":
		var v bool
		if err := n.Decode(&v); err != nil {
			return nil, c.at.at(n).errorf("%v", err)
		}
		return structpb.NewBoolValue(v), nil
	case "!!int":
		var v int64
		if err := n.Decode(&v); err != nil || v > 1<<53 || v < -1<<53 {
			return nil, c.at.at(n).errorf("number %s is out of range", n.Value)
		}
		return structpb.NewNumberValue(float64(v)), nil
	case "!!float":
		var v float64
		if err := n.Decode(&v); err != nil || v-v != 0 {
			return nil, c.at.at(n).errorf("%s is no usable number", n.Value)
		}
		return structpb.NewNumberValue(v), nil
	}
	return nil, c.at.at(n).errorf("values of type %s are not supported", n.Tag)
}

// locate adds to a server's error where the document that it is about stands.
// The error's object is the document's kind and key, which is its name, or the
// end of it when the name says the category as well.
func (l *loaded) locate(err error) error {
	var e *schema.Error
	if !errors.As(err, &e) {
		return err
	}
	found := -1
	for i, d := range l.documents {
		key, ok := strings.CutPrefix(e.Object, d.Kind+" ")
		switch {
		case !ok:
		case d.Name == key:
			found = i
		case found < 0 && strings.HasSuffix(schema.NormalPath(d.Name), "/"+key):
			found = i
		}
	}
	if found >= 0 {
		e.Object = l.places[found].String() + ": " + e.Object
	}
	return err
}
