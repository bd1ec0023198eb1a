package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

func loadText(t *testing.T, text string) (*loaded, error) {
	t.Helper()
	l := &loaded{}
	return l, l.load("-", strings.NewReader(text))
}

func TestLoadDocuments(t *testing.T) {
	l, err := loadText(t, `# a site
---
---
kind: trap-rules
name: 42
spec:
  oid: "1.3.6"
  priority: 5
  ratio: 0.5
  big: 9007199254740992
  on: on
  ignore: true
  nothing: null
  since: 2026-11-23
  match: &m [{oid: 1.3.6.1, value: yes}]
  again: *m
---
{"kind": "Group", "name": "shop/web"}
`)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := structpb.NewStruct(map[string]any{
		"oid": "1.3.6", "priority": 5, "ratio": 0.5, "big": 9007199254740992, "on": "on", "ignore": true, "nothing": nil, "since": "2026-11-23",
		"match": []any{map[string]any{"oid": "1.3.6.1", "value": "yes"}},
		"again": []any{map[string]any{"oid": "1.3.6.1", "value": "yes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []*api.Document{{Kind: "TrapRule", Name: "42", Spec: spec}, {Kind: "Group", Name: "shop/web", Spec: &structpb.Struct{}}}
	if len(l.documents) != len(want) {
		t.Fatalf("%d documents", len(l.documents))
	}
	for i, w := range want {
		if !proto.Equal(l.documents[i], w) {
			t.Errorf("document %d: %v\nwant %v", i, l.documents[i], w)
		}
	}
	if l.places[0].String() != "stdin:4" || l.places[1].String() != "stdin:18" {
		t.Errorf("places %v", l.places)
	}
}

func TestLoadErrors(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for _, level := range []string{"b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]", "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]", "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]",
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]", "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]"} {
		bomb += "  " + level + "\n"
	}
	for _, test := range []struct{ text, want string }{
		{"kind: Group\nname: web\nspce: {}\n", `stdin:3: unknown field "spce"`},
		{"kind: Group\nname: web\nname: db\n", `stdin:3: field "name" is there twice`},
		{"kind: Group\nname: web\nspec:\n  priority: 1\n  priority: 2\n", `stdin:5: field "priority" is there twice`},
		{"kind: Group\n", "stdin:1: the document has no name"},
		{"kind: Group\nname: a\n---\nname: web\n", "stdin:4: the document has no kind"},
		{"kind: Sock\nname: web\n", `stdin:1: unknown kind "Sock"`},
		{"kind: [Group]\nname: web\n", "stdin:1: kind must be a word"},
		{"kind: Group\nname:\n", "stdin:2: name must be a word"},
		{"kind: Group\nname: a\nspec: [1]\n", "stdin:3: spec must be a mapping"},
		{"- kind: Group\n", "stdin:1: a document must have the fields"},
		{"kind: Group\nname: a\nspec: {x: !!binary aGk=}\n", "stdin:3: values of type !!binary"},
		{"kind: Group\nname: a\nspec: {x: 9007199254740993}\n", "stdin:3: number 9007199254740993 is out of range"},
		{"kind: Group\nname: a\nspec: {x: .nan}\n", "stdin:3: .nan is no usable number"},
		{"kind: Group\nname: a\nspec: &s {x: 1, <<: {y: 2}}\n", "stdin:3: a field's name must be a word"},
		{"kind: Group\nname: a\nspec: {[a]: 1}\n", "stdin:3: a field's name must be a word"},
		{"kind: Group\nname: a\nspec: {x: " + deep + "}\n", "stdin:3: the document is too large or too deep"},
		{"kind: Group\nname: a\nspec: &r\n  x: *r\n", "stdin:"},
		{"kind: Group\nname: a\nspec:\n  " + bomb + "\n", "the document is too large or too deep"},
		{"kind: Group\n name: a\n", "line 2"},
		{"kind: \"Group\nname: a\n", "line"},
	} {
		_, err := loadText(t, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.text, err, test.want)
		}
		if apierr.ExitCode(err) != 1 {
			t.Errorf("%q: exit code %d", test.text, apierr.ExitCode(err))
		}
	}
}

func TestLoadTooLarge(t *testing.T) {
	l := &loaded{size: maxInput - 3}
	err := l.load("-", strings.NewReader("# long"))
	if schema.KindOf(err) != schema.KindTooLarge {
		t.Errorf("error %v", err)
	}
}

func TestLoadFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &loaded{}
	if err := l.load(dir, nil); err == nil || !strings.Contains(err.Error(), "holds no *.yaml file") {
		t.Errorf("empty folder: %v", err)
	}
	for name, text := range map[string]string{
		"20.yaml": "kind: Group\nname: second", "10.yaml": "kind: Group\nname: first", "x.txt": "kind: Group\nname: none",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.load(dir, nil); err != nil {
		t.Fatal(err)
	}
	if len(l.documents) != 2 || l.documents[0].Name != "first" || l.documents[1].Name != "second" {
		t.Errorf("documents %v", l.documents)
	}
	if err := l.load(filepath.Join(dir, "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("missing file: %v", err)
	}
}

// TestApplyErrorPlace holds that an error of the server comes with the place
// of its document.
func TestApplyErrorPlace(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	text := "kind: Host\nname: web/web01\n---\nkind: Host\nname: shop/web/web02\n---\nkind: Group\nname: web\n"
	for object, place := range map[string]string{
		"Host web/web01": "stdin:1: Host web/web01: ", "Host web/web02": "stdin:4: Host web/web02: ", "Group web": "stdin:7: Group web: ",
		"Group db": "pvmutl: Group db: ", "apply": "pvmutl: apply: ",
	} {
		f.mu.Lock()
		f.errors["Apply"] = schema.Errorf(schema.KindConflict, object, "it is used").WithHint("nothing was changed")
		f.mu.Unlock()
		c := consoleFor(t, f)
		c.stdin = text
		if code := c.run("apply", "-f", "-"); code != 21 || !strings.Contains(c.stderr.String(), place+"it is used; nothing was changed") {
			t.Errorf("%s: exit code %d, %s", object, code, c.stderr.String())
		}
	}
}

// TestApplyReads holds that documents reach the server as they were read, and
// that nothing is sent when one of them is wrong.
func TestApplyReads(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	good := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(good, []byte("kind: Group\nname: web\nspec: {priority: 3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := consoleFor(t, f)
	c.stdin = "kind: Group\n"
	if code := c.run("apply", "-f", good, "-f", "-"); code != 1 || len(f.recorded()) != 0 {
		t.Errorf("exit code %d, %d calls", code, len(f.recorded()))
	}
	c = consoleFor(t, f)
	if code := c.run("apply", "-f", good, "--dry-run", "--reason", "drill"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	got := f.lastCall(t, "Apply")
	req := got.request.(*api.ApplyRequest)
	if !req.DryRun || len(req.Documents) != 1 || req.Documents[0].Spec.Fields["priority"].GetNumberValue() != 3 {
		t.Errorf("request %v", req)
	}
	if reason := got.metadata.Get(api.KeyReason); len(reason) != 1 || reason[0] != "drill" {
		t.Errorf("reason %q", reason)
	}
}

// TestYAMLRoundTrip holds that apply reads what get -o yaml writes, whatever
// the values look like.
func TestYAMLRoundTrip(t *testing.T) {
	words := rapid.OneOf(
		rapid.SampledFrom([]string{"", "yes", "No", "on", "null", "~", "1", "0x10", "1e3", "-", "00:50:56:00:00:01", "1:20", "2026-11-23", "a: b", "# x", "!t", "*a", "&b",
			"true", "line\nbreak", " lead", "trail ", "\ttab", "日本", "'", "\"", "- x", "{}", "[]", "%", "@", "`", ".5", "+1", "<<", "="}),
		rapid.StringMatching(`[a-zA-Z0-9:./¥\\ -]{0,20}`))
	value := func(t *rapid.T, label string) any {
		switch rapid.IntRange(0, 5).Draw(t, label+" type") {
		case 0:
			return rapid.Bool().Draw(t, label)
		case 1:
			return float64(rapid.Int64Range(-1<<53, 1<<53).Draw(t, label))
		case 2:
			return rapid.Float64Range(-1e9, 1e9).Draw(t, label)
		case 3:
			return nil
		case 4:
			return []any{words.Draw(t, label), map[string]any{words.Draw(t, label+" key"): words.Draw(t, label)}}
		}
		return words.Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		fields := map[string]any{}
		for _, key := range rapid.SliceOfDistinct(words.Filter(func(s string) bool { return s != "<<" }), rapid.ID[string]).Draw(t, "keys") {
			fields[key] = value(t, key)
		}
		spec, err := structpb.NewStruct(fields)
		if err != nil {
			t.Fatal(err)
		}
		want := &api.Document{Kind: "Group", Name: words.Filter(func(s string) bool { return s != "" }).Draw(t, "name"), Spec: spec}
		var text bytes.Buffer
		if err := encodeYAML(&text, documentNode(want.Kind, want.Name, want.Spec)); err != nil {
			t.Fatal(err)
		}
		l := &loaded{}
		if err := l.load("-", bytes.NewReader(text.Bytes())); err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		if len(l.documents) != 1 || !proto.Equal(l.documents[0], want) {
			t.Fatalf("read %v\nwant %v\n%s", l.documents, want, text.String())
		}
	})
}

// FuzzLoad holds that no text makes the reader of documents panic or hang.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{"", "kind: Group\nname: web\nspec: {a: [1, *x]}\n", "a: &a [*a]", "? - x\n: y", "--- !!map {}\n...\n---", "kind: !!null\n", "\xff\xfe"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := &loaded{}
		if err := l.load("-", strings.NewReader(text)); err == nil && len(l.documents) != len(l.places) {
			t.Errorf("%d documents, %d places", len(l.documents), len(l.places))
		}
	})
}
