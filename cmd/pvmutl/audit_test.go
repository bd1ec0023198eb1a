package main

import (
	"testing"

	"yagura/fsm/schema"
)

func TestAuditNamesAFewObjects(t *testing.T) {
	for want, objects := range map[string][]string{
		"":                 nil,
		"a,b,c":            {"a", "b", "c"},
		"a,b,c and 2 more": {"a", "b", "c", "d", "e"},
	} {
		if got := auditObjects(&schema.Audit{Objects: objects}); got != want {
			t.Errorf("%q became %q, want %q", objects, got, want)
		}
	}
}
