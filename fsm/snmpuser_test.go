package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
)

const userSpec = `'auth':'SHA256','auth_key':'authentication','priv':'AES','priv_key':'encryption!'`

func TestSnmpUsers(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("SnmpUser", "ups", `{`+userSpec+`,'engine_id':'0x80000000AB020304'}`), doc("SnmpUser", "open", `{'description':'of the lab'}`))
	row := func() *schema.SnmpUser {
		t.Helper()
		u, ok := fsm.SnmpUsers.Get(c.Store().View(), "ups")
		if !ok {
			t.Fatal("no user")
		}
		return u
	}
	open := func(b []byte) string {
		t.Helper()
		plain, err := c.Store().Sealer().Open(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}
	u := row()
	if u.Auth != "sha256" || u.Priv != "aes" || u.EngineId != "80000000ab020304" || open(u.AuthKey) != "authentication" || open(u.PrivKey) != "encryption!" {
		t.Errorf("row %v", u)
	}
	if strings.Contains(string(u.AuthKey), "authentication") || strings.Contains(string(u.PrivKey), "encryption!") {
		t.Error("a key is in the row in the clear")
	}
	o, err := fsm.GetObject(c.Store().View(), "SnmpUser", "ups")
	if err != nil {
		t.Fatal(err)
	}
	shown := o.Row.(*schema.SnmpUser)
	if strings.Contains(string(o.Spec), "_key") || !shown.AuthKeySet || !shown.PrivKeySet || len(shown.AuthKey)+len(shown.PrivKey) > 0 {
		t.Errorf("shown are %s, %v", o.Spec, shown)
	}
	// Without a key in the document it stays; the key of a protocol that isn't used any more goes.
	before := row()
	apply(t, c, doc("SnmpUser", "ups", `{'description':'x'}`))
	if string(row().AuthKey) != string(before.AuthKey) {
		t.Error("another change has changed the key")
	}
	apply(t, c, doc("SnmpUser", "ups", `{'priv':''}`))
	if len(row().PrivKey) > 0 || len(row().AuthKey) == 0 {
		t.Errorf("without privacy: %v", row())
	}
}

func TestBadSnmpUsersAreRefused(t *testing.T) {
	c := bootstrapped(t)
	for spec, want := range map[string]string{
		`'auth':'sha257','auth_key':'authentication'`:                            "sha512",
		`'priv':'aes','priv_key':'encryption!'`:                                  "priv needs auth",
		`'auth':'sha'`:                                                           "auth_key",
		`'auth_key':'authentication'`:                                            "of auth and auth_key",
		`'auth':'sha','auth_key':'short12'`:                                      "auth_key has 7",
		`'auth':'sha','auth_key':'authentication','priv':'aes'`:                  "priv_key",
		`'auth':'sha','auth_key':'authentication','priv_key':'encryption!'`:      "of priv and priv_key",
		`'auth':'sha','auth_key':'authentication','priv':'aes','priv_key':'1'`:   "priv_key has 1",
		`'auth':'sha','auth_key':'authentication','priv':'3des','priv_key':'12'`: "priv",
		userSpec + `,'engine_id':'80000000'`:                                     "engine_id",
		userSpec + `,'engine_id':'ups'`:                                          "engine_id",
		userSpec + `,'engine_id':'` + strings.Repeat("80", 33) + `'`:             "engine_id",
		userSpec + `,'auth_key_set':true`:                                        "auth_key_set",
		userSpec + `,'name':'x'`:                                                 "name",
	} {
		before := c.Store().View().Digest()
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("SnmpUser", "u", `{`+spec+`}`)})
			return err
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "authentication") || strings.Contains(err.Error(), "encryption!") {
			t.Errorf("%s: %v, want something about %q", spec, err, want)
		}
		if c.Store().View().Digest() != before {
			t.Errorf("%s has changed something", spec)
		}
	}
	var docs []fsm.Document
	for i := range 257 {
		docs = append(docs, doc("SnmpUser", fmt.Sprintf("u%d", i), `{}`))
	}
	docs[256].Name = strings.Repeat("u", 33)
	for what, some := range map[string][]fsm.Document{"a long name": docs[256:], "too many": append(docs[:256:256], doc("SnmpUser", "one-more", `{}`))} {
		if _, err := c.Try(func(tx *fsm.Tx) error { _, err := fsm.ApplyDocuments(tx, some); return err }); err == nil {
			t.Errorf("%s isn't refused", what)
		}
	}
	for _, field := range []string{"trap_rate", "trap_source_rate"} {
		if _, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("Settings", "cluster", `{'`+field+`':-1}`)})
			return err
		}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s of -1: %v", field, err)
		}
	}
}
