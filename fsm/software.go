package fsm

import "yagura/fsm/schema"

// SoftwareItems are distribution software: templates, scenarios and scripts, by name.
var SoftwareItems = &Table[*schema.Software]{
	number: 7, name: "software",
	key:   func(s *schema.Software) string { return s.Name },
	check: (*schema.Software).Validate,
}

func checkSoftware(r Reader, s *schema.Software) error {
	if _, ok := Subsystems.Get(r, s.Subsystem); s.Subsystem != "" && !ok {
		return noSuch("subsystem", "subsystem", s.Subsystem)
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
