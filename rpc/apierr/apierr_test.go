package apierr

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"yagura/fsm/schema"
)

// kinds are the constants of type schema.Kind, read from the source.
func kinds(t *testing.T) []schema.Kind {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../fsm/schema/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []schema.Kind
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Kind") {
			return true
		}
		s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, schema.Kind(s))
		return true
	})
	if len(out) < 20 {
		t.Fatalf("found only %v", out)
	}
	return out
}

func TestTableIsComplete(t *testing.T) {
	all := kinds(t)
	for _, k := range all {
		e, ok := table[k]
		if !ok {
			t.Errorf("kind %s isn't in the table", k)
			continue
		}
		if e.Code == codes.OK || e.HTTP < 400 || e.Exit <= 0 || e.Exit > 125 || e.Exit == 12 || e.Exit == 13 {
			t.Errorf("kind %s has %+v", k, e)
		}
		if http.StatusText(e.HTTP) == "" {
			t.Errorf("kind %s: no such HTTP status %d", k, e.HTTP)
		}
	}
	if len(all) != len(table) {
		t.Errorf("%d kinds, %d rows", len(all), len(table))
	}
}

func TestErrorsComeBackFromTheWire(t *testing.T) {
	for _, k := range kinds(t) {
		in := &schema.Error{Kind: k, Op: "op", Object: "group shop/web", Msg: "what happened: 5 %", Hint: "do this"}
		st := ToStatus(fmt.Errorf("wrapped: %w", in))
		if st.Code() != Lookup(k).Code {
			t.Errorf("%s: code %v", k, st.Code())
		}
		var out *schema.Error
		if !errors.As(FromError(st.Err()), &out) || !reflect.DeepEqual(in, out) {
			t.Errorf("%s came back as %#v", k, out)
		}
	}
}

func TestForeignErrorsGetAKind(t *testing.T) {
	for want, err := range map[schema.Kind]error{
		schema.KindTimeout:     fmt.Errorf("x: %w", context.DeadlineExceeded),
		schema.KindCancelled:   context.Canceled,
		schema.KindInternal:    errors.New("anything"),
		schema.KindInvalid:     status.Error(codes.Unimplemented, "no such method"),
		schema.KindUnavailable: status.Error(codes.Unavailable, "connection refused"),
		schema.KindTooLarge:    status.Error(codes.ResourceExhausted, "message too large"),
	} {
		got := FromStatus(ToStatus(err))
		if got.Kind != want || got.Msg == "" {
			t.Errorf("%v became %#v, want %s", err, got, want)
		}
		if kind := schema.KindOf(FromError(err)); kind != want {
			t.Errorf("%v has kind %s, want %s", err, kind, want)
		}
	}
	if FromError(nil) != nil || ExitCode(nil) != 0 {
		t.Error("nil isn't success")
	}
	if got := ExitCode(schema.Errorf("of a later version", "x", "y")); got != Lookup(schema.KindInternal).Exit {
		t.Errorf("an unknown kind has exit code %d", got)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	in := &schema.Error{Kind: schema.KindInvalid, Msg: strings.Repeat("é", maxText)}
	got := FromStatus(ToStatus(in))
	if len(got.Msg) > maxText+3 || !strings.HasPrefix(in.Msg, strings.TrimSuffix(got.Msg, "...")) {
		t.Errorf("%d bytes came back", len(got.Msg))
	}
}
