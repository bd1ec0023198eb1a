package fsm

import "yagura/fsm/schema"

// SettingsTable has one row: the cluster-wide settings.
var SettingsTable = &Table[*schema.Settings]{
	number: 20, name: "settings",
	key: func(s *schema.Settings) string { return s.Key },
}

// Settings returns the cluster-wide settings, empty ones before the bootstrap.
func Settings(r Reader) *schema.Settings {
	if s, ok := SettingsTable.Get(r, schema.SettingsKey); ok {
		return s
	}
	return &schema.Settings{Key: schema.SettingsKey}
}
