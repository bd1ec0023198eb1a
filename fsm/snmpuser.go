package fsm

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// SnmpUsers are the users of SNMPv3 whose notifications every manager takes, by
// name.
var SnmpUsers = &Table[*schema.SnmpUser]{
	number: 25, name: "snmp-user", since: 2,
	key:   func(u *schema.SnmpUser) string { return u.Name },
	check: (*schema.SnmpUser).Validate,
}

// maxSNMPUsers bounds the users: each costs every manager the derivation of
// its keys when one of them changes.
const maxSNMPUsers = 256

// normalSnmpUser brings a document into the one shape that rows have, and checks
// the passphrases, which can't be told from the row. The key of a protocol that
// isn't used any more goes.
func normalSnmpUser(a *applying, spec map[string]any) error {
	u := a.row.(*schema.SnmpUser)
	u.Auth, u.Priv = strings.ToLower(u.Auth), strings.ToLower(u.Priv)
	u.EngineId = strings.TrimPrefix(strings.ToLower(u.EngineId), "0x")
	for _, k := range []struct {
		field, protocol string
		key             *[]byte
	}{{"auth_key", u.Auth, &u.AuthKey}, {"priv_key", u.Priv, &u.PrivKey}} {
		text, given := spec[k.field].(string)
		switch {
		case given && text == "", !given && k.protocol == "":
			*k.key = nil
		case given && len(text) < schema.MinSNMPKey:
			return schema.Errorf(schema.KindInvalid, "", "%s has %d characters, it must have %d at least", k.field, len(text), schema.MinSNMPKey)
		}
	}
	return nil
}

func checkSnmpUser(r Reader) error {
	if n := SnmpUsers.Len(r); n > maxSNMPUsers {
		return schema.Errorf(schema.KindTooLarge, "", "it would be SNMP user number %d, the limit is %d", n, maxSNMPUsers).
			WithHint("several senders can share one user")
	}
	return nil
}

var snmpUserKind = &docKind{
	name: "SnmpUser", missing: schema.KindNotFound, rows: rowsOf(SnmpUsers), key: plainName("SnmpUser"),
	blank:   func(key string) proto.Message { return &schema.SnmpUser{Name: key} },
	fields:  []string{"auth", "auth_key", "priv", "priv_key", "engine_id", "description"},
	refused: map[string]string{"name": isKey, "auth_key_set": isOutput, "priv_key_set": isOutput},
	normal:  func(_ *Tx, a *applying, spec map[string]any) error { return normalSnmpUser(a, spec) },
	check:   func(tx *Tx, _ proto.Message) error { return checkSnmpUser(tx) },
}
