package fsm

import (
	"crypto/rand"
	"encoding/hex"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Settings that a new cluster begins with.
const (
	defaultMaxEvents         = 100000
	defaultMaxJobs           = 10000
	defaultMaxAudit          = 50000
	defaultMaxAgeDays        = 365
	defaultBrakeJobs         = 20
	defaultBrakeJobsPerGroup = 10
)

// BootstrapSpec is what a new cluster needs from outside.
type BootstrapSpec struct {
	Admin     string // name of the first administrator
	AdminHash []byte // Argon2id hash of the password, in PHC form
	Cluster   string // cluster id; empty: a random one
	Feature   uint32 // feature level to begin with; 0: the highest that this program speaks
}

// Bootstrap sets a new cluster up: its id and settings, the first
// administrator, the three standard policies [4.3] and the shipped trap rules.
// On a cluster that is set up already it does nothing.
func Bootstrap(tx *Tx, spec BootstrapSpec) error {
	if Settings(tx).Cluster != "" {
		return nil
	}
	s := &schema.Settings{
		Key: schema.SettingsKey, Cluster: spec.Cluster, Feature: spec.Feature,
		MaxEvents: defaultMaxEvents, MaxJobs: defaultMaxJobs, MaxAudit: defaultMaxAudit, MaxAgeDays: defaultMaxAgeDays,
		BrakeJobs: defaultBrakeJobs, BrakeJobsPerGroup: defaultBrakeJobsPerGroup, BrakeReplacements: schema.DefaultBrakeReplacements,
		StormMachines: schema.DefaultStormMachines, StormSeconds: schema.DefaultStormSeconds, ReplaceHoldSeconds: schema.DefaultReplaceHoldSeconds,
	}
	if s.Cluster == "" {
		s.Cluster = newClusterID()
	}
	if s.Feature == 0 {
		s.Feature = MaxFeature
	}
	if s.Feature > MaxFeature {
		return schema.Errorf(schema.KindConflict, "cluster", "this version speaks feature level %d, not %d", MaxFeature, s.Feature)
	}
	if err := SettingsTable.Put(tx, s); err != nil {
		return err
	}
	admin := &schema.User{Name: spec.Admin, Role: schema.RoleAdministrator, PasswordHash: spec.AdminHash, Description: "First administrator"}
	if err := SetUser(tx, admin); err != nil {
		return err
	}
	for _, p := range standardPolicies() {
		if err := Policies.Put(tx, p); err != nil {
			return err
		}
	}
	for _, r := range shippedTrapRules() {
		if err := TrapRules.Put(tx, r); err != nil {
			return err
		}
	}
	return nil
}

func newClusterID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// standardPolicies are the catalog's policies as rows.
func standardPolicies() []*schema.Policy {
	var out []*schema.Policy
	for _, p := range catalog.Policies() {
		row := &schema.Policy{Name: p.Name, Description: p.Description, Builtin: true}
		for _, r := range p.Rules {
			row.Rules = append(row.Rules, &schema.PolicyRule{
				Name: r.Name, Notifier: r.Notifier, Selector: r.Selector, Actions: r.Actions, Note: r.Note,
			})
		}
		out = append(out, row)
	}
	return out
}
