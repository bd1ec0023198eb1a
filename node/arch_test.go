package node_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of this module.
const module = "yagura"

// allowed is the import table of the shared design, section 1: which packages
// of this module a part may import beside itself. A package belongs to the
// longest part that its path begins with.
var allowed = map[string][]string{
	"fsm/schema": {},
	"fsm":        {"fsm/schema"},
	"placement":  {},
	"drivers":    {},
	// The scheduler and the API make the same problems and the same decisions of
	// the same rows, and neither may import the other: what they share stands
	// between fsm and both.
	"fsm/planning": {"fsm", "fsm/schema", "placement"},
	"fsm/policy":   {"fsm", "fsm/schema"},
	"scheduler":    {"fsm", "fsm/schema", "fsm/planning", "fsm/policy", "placement", "drivers"},
	// A plan becomes a message in one place, for the server and for the command
	// line, which solves problem files offline.
	"rpc/api":    {"fsm/schema", "placement"},
	"rpc/apierr": {"fsm/schema", "rpc/api"},
	"rpc/client": {"fsm/schema", "rpc/api", "rpc/apierr"},
	"rpc":        {"fsm", "fsm/schema", "fsm/planning", "fsm/policy", "placement", "rpc/api", "rpc/apierr"},
	"node":       {"fsm", "fsm/schema", "fsm/planning", "fsm/policy", "placement", "drivers", "scheduler", "rpc", "rpc/api", "rpc/apierr"},
	"cmd/pvmutl": {"fsm/schema", "rpc/api", "rpc/apierr", "rpc/client", "placement"},
}

// allowedInTests is what tests may import beyond that, and beside any part's
// own test packages.
var allowedInTests = map[string][]string{
	"rpc":        {"rpc/client"},
	"node":       {"rpc/client"},
	"cmd/pvmutl": {"fsm", "rpc"},
}

// part finds the part of the table that a package belongs to, "" for those
// that the table leaves alone (cmd/pvmd, deploy).
func part(pkg string) string {
	best := ""
	for p := range allowed {
		if (pkg == p || strings.HasPrefix(pkg, p+"/")) && len(p) > len(best) {
			best = p
		}
	}
	return best
}

// testPackage tells packages that exist for tests.
func testPackage(pkg string) bool {
	name := filepath.Base(pkg)
	return strings.HasSuffix(name, "test") || name == "fake" || name == "sim"
}

func TestImportTable(t *testing.T) {
	seen := map[string]int{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "internal_deps") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		from := part(pkg)
		if from == "" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		test := strings.HasSuffix(path, "_test.go") || testPackage(pkg)
		for _, i := range f.Imports {
			full, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imported, ours := strings.CutPrefix(full, module+"/")
			if !ours {
				continue
			}
			seen[from]++
			to := part(imported)
			if to == from || slices.Contains(allowed[from], to) || (test && (testPackage(imported) || slices.Contains(allowedInTests[from], to))) {
				continue
			}
			t.Errorf("%s imports %s: %s may import %v only", rel, imported, from, allowed[from])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"fsm", "scheduler", "rpc", "node", "cmd/pvmutl"} {
		if seen[p] == 0 {
			t.Errorf("no import of %s was seen: the table isn't held", p)
		}
	}
}
