package fsm_test

import (
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Policies are copied from the standard ones as documents, and changed.
func TestPolicyAsADocument(t *testing.T) {
	c := bootstrapped(t)
	standard, err := fsm.GetObject(c.Store().View(), "Policy", "standard")
	if err != nil {
		t.Fatal(err)
	}
	spec := strings.Replace(string(standard.Spec), `"notify","set-status-failed"`, `"notify","set-status-failed","replace-machine"`, 1)
	if spec == string(standard.Spec) {
		t.Fatalf("nothing replaced in %s", spec)
	}
	apply(t, c, fsm.Document{Kind: "Policy", Name: "mine", Spec: []byte(spec)})
	apply(t, c, doc("Policy", "own", `{'rules':[{'name':'r','notifier':'SystemMonitorEvent','selector':'category:machine-inaccessible',
		'actions':['notify','replace-machine'],'suppress_seconds':30,'flap_count':3,'flap_seconds':600,'hours':'mon-fri 08:00-18:00 Asia/Tokyo'}]}`))
	p, _ := fsm.Policies.Get(c.Store().View(), "own")
	if r := p.GetRules()[0]; r.FlapCount != 3 || r.FlapSeconds != 600 || r.Hours == "" {
		t.Errorf("%v", r)
	}
	for field, says := range map[string]string{
		"'flap_count':-1":            "flap_count is -1",
		"'flap_seconds':999999":      "flap_seconds is 999999",
		"'hours':'mon 08:00-25:00'":  `hours: "08:00-25:00" isn't HH:MM-HH:MM`,
		"'hours':'08:00-09:00 Moon'": `"Moon" is no time zone`,
		"'actions':['replace-it']":   `there is no action "replace-it"`,
	} {
		spec := `{'rules':[{'name':'r','notifier':'SystemMonitorEvent','selector':'category:machine-inaccessible','actions':['notify'],` + field + `}]}`
		if strings.HasPrefix(field, "'actions'") {
			spec = strings.Replace(spec, `'actions':['notify'],`, "", 1)
		}
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("Policy", "bad", spec)})
			return err
		})
		if schema.KindOf(err) != schema.KindInvalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", field, err)
		}
	}
	apply(t, c, doc("Settings", "cluster", `{'storm_machines':3,'storm_seconds':30,'brake_replacements':2,'replace_hold_seconds':60}`))
	if s := fsm.Settings(c.Store().View()); s.StormMachines != 3 || s.StormSeconds != 30 || s.BrakeReplacements != 2 || s.ReplaceHoldSeconds != 60 {
		t.Errorf("%v", s)
	}
	if _, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("Settings", "cluster", `{'storm':{'count':1}}`)})
		return err
	}); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("a storm by document: %v", err)
	}
}
