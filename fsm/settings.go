package fsm

import "yagura/fsm/schema"

// SettingsTable has one row: the cluster-wide settings.
var SettingsTable = &Table[*schema.Settings]{
	number: 20, name: "settings",
	key:   func(s *schema.Settings) string { return s.Key },
	check: (*schema.Settings).Validate,
}

// Settings returns the cluster-wide settings, empty ones before the bootstrap.
func Settings(r Reader) *schema.Settings {
	if s, ok := SettingsTable.Get(r, schema.SettingsKey); ok {
		return s
	}
	return &schema.Settings{Key: schema.SettingsKey}
}

var errNoSettings = schema.Errorf(schema.KindConflict, "cluster", "it hasn't been set up yet").
	WithHint("wait until the first managers have formed the cluster")

// RaiseFeature puts the highest feature level into force that this program and
// all of these managers speak, by their ids; one without a row has not told yet,
// and nothing is raised. The level never goes down, since rows of the one in
// force may exist already. The leader calls it with all managers that apply the log.
func RaiseFeature(tx *Tx, managers []string) error {
	level := uint32(MaxFeature)
	for _, id := range managers {
		m, ok := Managers.Get(tx, id)
		if !ok {
			return nil
		}
		level = min(level, m.Feature)
	}
	s, ok := SettingsTable.Edit(tx, schema.SettingsKey)
	if !ok {
		return errNoSettings
	}
	s.Feature = max(s.Feature, level)
	return SettingsTable.Put(tx, s)
}
