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
// all managers of the cluster speak. It never goes down, since rows of the
// level in force may exist already. Called by the leader after a manager has
// joined, left or been upgraded.
func RaiseFeature(tx *Tx) error {
	level := uint32(MaxFeature)
	for m := range Managers.All(tx) {
		level = min(level, m.Feature)
	}
	if level <= Settings(tx).Feature {
		return nil
	}
	return SetFeature(tx, level)
}

// SetFeature puts a feature level into force. KindConflict when it is lower
// than the present one, or when this program or a manager doesn't speak it.
func SetFeature(tx *Tx, level uint32) error {
	s, ok := SettingsTable.Edit(tx, schema.SettingsKey)
	if !ok {
		return errNoSettings
	}
	if level < s.Feature {
		return schema.Errorf(schema.KindConflict, "cluster", "feature level %d is in force and can't be lowered to %d", s.Feature, level)
	}
	if level > MaxFeature {
		return schema.Errorf(schema.KindConflict, "cluster", "this version speaks feature level %d, not %d", MaxFeature, level)
	}
	for m := range Managers.All(tx) {
		if m.Feature < level {
			return schema.Errorf(schema.KindConflict, "manager "+m.Id, "it speaks feature level %d, not %d", m.Feature, level).
				WithHint("upgrade it, or remove it from the cluster")
		}
	}
	s.Feature = level
	return SettingsTable.Put(tx, s)
}
