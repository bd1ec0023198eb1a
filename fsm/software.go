package fsm

import (
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// SoftwareItems are distribution software: templates, scenarios and scripts, by name.
var SoftwareItems = &Table[*schema.Software]{
	number: 7, name: "software",
	key:   func(s *schema.Software) string { return s.Name },
	check: (*schema.Software).Validate,
}

// normalSoftware dates the content: what has changed counts as new for
// differential distribution [1.5.7], unless the document gives a date of its own.
// The date that is stored already isn't one, since whoever edits what get has
// shown leaves it there.
func normalSoftware(tx *Tx, a *applying) {
	s := a.row.(*schema.Software)
	if s.Kind == schema.SoftwareTemplate {
		return
	}
	old, _ := a.old.(*schema.Software)
	same := old != nil && old.Body == s.Body && old.Object == s.Object
	if !same && proto.Equal(old.GetContent(), s.Content) {
		s.Content = timestamp(tx.Now())
	}
}

// softwareDoes is what the subsystem of a piece of software must do.
func softwareDoes(s *schema.Software) string {
	if s.Kind == schema.SoftwareTemplate {
		return schema.DoesVMs
	}
	return schema.DoesDistribution
}

func checkSoftware(r Reader, s *schema.Software) error {
	if s.Subsystem != "" || s.Kind == schema.SoftwareScenario {
		if err := checkDoes(r, "subsystem", s.Subsystem, softwareDoes(s)); err != nil {
			return err
		}
	}
	if s.Kind == schema.SoftwareTemplate {
		return nil
	}
	for g := range Groups.All(r) {
		for _, t := range g.Templates {
			if t == s.Name {
				return schema.Errorf(schema.KindConflict, "", "kind is %s, group %s uses it as a template", s.Kind, g.Name)
			}
		}
	}
	for m := range Models.All(r) {
		if m.Template == s.Name {
			return schema.Errorf(schema.KindConflict, "", "kind is %s, model %s/%s uses it as a template", s.Kind, m.Group, m.Name)
		}
	}
	return nil
}
