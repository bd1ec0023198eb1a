package fsm

import (
	"regexp"
	"strings"

	"yagura/fsm/schema"
)

// TrapRules map SNMP notifications to events, by name.
var TrapRules = &Table[*schema.TrapRule]{
	number: 9, name: "trap-rule",
	key:   func(r *schema.TrapRule) string { return r.Name },
	check: checkTrapRule,
}

var (
	oidForm  = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)
	variable = regexp.MustCompile(`\$\{([^}]*)\}`)
)

// Limits of a trap rule.
const (
	maxMatches  = 32
	maxTemplate = 1024
)

// normalTrapRule takes the leading dot off OIDs, as some tools write them.
func normalTrapRule(r *schema.TrapRule) {
	r.Oid = strings.TrimPrefix(r.Oid, ".")
	for _, m := range r.Match {
		m.Oid = strings.TrimPrefix(m.Oid, ".")
	}
}

// checkTrapRule checks a rule by itself. KindInvalid.
func checkTrapRule(r *schema.TrapRule) error {
	o := "trap-rule " + r.Name
	if err := schema.CheckName(o, "the rule's name", r.Name); err != nil {
		return err
	}
	bad := func(format string, args ...any) *schema.Error {
		return schema.Errorf(schema.KindInvalid, o, format, args...)
	}
	if r.Oid != "" && !oidForm.MatchString(r.Oid) {
		return bad("oid is %q", r.Oid).WithHint("write it in numbers, such as 1.3.6.1.4.1.119")
	}
	if r.Oid == "" && len(r.Match) == 0 {
		return bad("it has neither oid nor match, so it would match everything").WithHint("give an OID; 1.3.6.1 is a prefix of them all")
	}
	if len(r.Match) > maxMatches {
		return bad("match has %d entries, the limit is %d", len(r.Match), maxMatches)
	}
	for i, m := range r.Match {
		if !oidForm.MatchString(m.Oid) {
			return bad("match[%d].oid is %q", i, m.Oid).WithHint("write it in numbers, such as 1.3.6.1.4.1.119")
		}
		if m.Value != "" && m.Regexp != "" {
			return bad("match[%d] has both value and regexp", i).WithHint("give one of them")
		}
		if _, err := regexp.Compile(m.Regexp); err != nil {
			return bad("match[%d].regexp: %v", i, err)
		}
	}
	if r.Ignore {
		return nil
	}
	if r.Notifier == "" || r.EventId == "" {
		return bad("notifier or event_id is missing").WithHint("give both, or ignore: true")
	}
	switch r.Severity {
	case "", "info", "warning", "error":
	default:
		return bad("severity is %q", r.Severity).WithHint("it can be info, warning, error")
	}
	for field, text := range map[string]string{
		"notifier": r.Notifier, "source": r.Source, "event_id": r.EventId, "target": r.Target, "text": r.Text,
	} {
		if err := checkTrapTemplate(text); err != nil {
			return bad("%s: %s", field, err.Msg).WithHint("%s", err.Hint)
		}
	}
	return nil
}

// checkTrapTemplate checks a text with variables.
func checkTrapTemplate(text string) *schema.Error {
	if len(text) > maxTemplate {
		return specError("it has %d bytes, the limit is %d", len(text), maxTemplate)
	}
	for _, v := range variable.FindAllStringSubmatch(text, -1) {
		if v[1] != "agent" && v[1] != "community" && v[1] != "oid" && !oidForm.MatchString(v[1]) {
			return specError("there is no variable ${%s}", v[1]).WithHint("there are ${agent}, ${community}, ${oid} and a varbind's OID such as ${1.3.6.1.2.1.1.5}")
		}
	}
	if strings.Contains(variable.ReplaceAllString(text, ""), "${") {
		return specError("a ${ isn't closed").WithHint("write variables as ${NAME}")
	}
	return nil
}
