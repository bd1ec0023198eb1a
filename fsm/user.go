package fsm

import (
	"cmp"
	"slices"

	"yagura/fsm/schema"
)

// Users are accounts, by name.
var Users = &Table[*schema.User]{
	number: 14, name: "user",
	key:   func(u *schema.User) string { return u.Name },
	check: (*schema.User).Validate,
}

// Tokens are login sessions, by the hash of the token.
var Tokens = &Table[*schema.Token]{
	number: 15, name: "token",
	key:     func(t *schema.Token) string { return t.Hash },
	check:   (*schema.Token).Validate,
	indexes: []Index[*schema.Token]{{Name: ByUser, Values: func(t *schema.Token) []string { return []string{t.User} }}},
}

// maxTokens bounds the sessions of one account; the oldest gives way.
const maxTokens = 100

func noAccount(name string) error {
	return schema.Errorf(schema.KindAccount, "user "+name, "there is no such account").WithHint("user list shows them")
}

// SetUser creates an account, or changes role, description and disabled of one.
// A new one needs PasswordHash; of an existing one an empty hash keeps the old.
// A new password, another role and disabling end the account's sessions.
// KindConflict: nobody could administer the cluster any more. KindPassword: a
// name against the rules, or no password.
func SetUser(tx *Tx, u *schema.User) error {
	row, ok := Users.Edit(tx, u.Name)
	if !ok {
		row = &schema.User{Name: u.Name, Created: timestamp(tx.Now())}
	}
	ends := u.Disabled || row.Role != u.Role || len(u.PasswordHash) > 0
	row.Role, row.Disabled, row.Description = u.Role, u.Disabled, u.Description
	if len(u.PasswordHash) > 0 {
		row.PasswordHash, row.Changed = u.PasswordHash, timestamp(tx.Now())
	}
	if err := Users.Put(tx, row); err != nil {
		return err
	}
	if ok && ends {
		if err := deleteTokens(tx, u.Name); err != nil {
			return err
		}
	}
	return checkAdministrator(tx)
}

// SetPasswordHash gives an account a new password and ends its sessions. KindAccount.
func SetPasswordHash(tx *Tx, name string, hash []byte) error {
	u, ok := Users.Edit(tx, name)
	if !ok {
		return noAccount(name)
	}
	u.PasswordHash, u.Changed = hash, timestamp(tx.Now())
	if err := Users.Put(tx, u); err != nil {
		return err
	}
	return deleteTokens(tx, name)
}

// DeleteUser removes an account and its sessions. KindAccount, KindConflict.
func DeleteUser(tx *Tx, name string) error {
	if _, ok := Users.Get(tx, name); !ok {
		return noAccount(name)
	}
	if err := Users.Delete(tx, name); err != nil {
		return err
	}
	if err := deleteTokens(tx, name); err != nil {
		return err
	}
	return checkAdministrator(tx)
}

// checkAdministrator refuses to leave the cluster without an administrator.
func checkAdministrator(r Reader) error {
	for u := range Users.All(r) {
		if u.Role == schema.RoleAdministrator && !u.Disabled {
			return nil
		}
	}
	return schema.Errorf(schema.KindConflict, "user", "no enabled administrator would be left").WithHint("make another administrator first")
}

// PutToken stores a session of an account. KindAccount for an account that
// isn't there or is disabled.
func PutToken(tx *Tx, t *schema.Token) error {
	u, ok := Users.Get(tx, t.User)
	if !ok {
		return noAccount(t.User)
	}
	if u.Disabled {
		return schema.Errorf(schema.KindAccount, "user "+t.User, "the account is disabled").WithHint("ask an administrator")
	}
	var old []*schema.Token
	for other := range Tokens.By(tx, ByUser, t.User) {
		old = append(old, other)
	}
	if len(old) >= maxTokens {
		slices.SortFunc(old, func(a, b *schema.Token) int {
			return cmp.Or(a.Created.AsTime().Compare(b.Created.AsTime()), cmp.Compare(a.Hash, b.Hash))
		})
		for _, o := range old[:len(old)-maxTokens+1] {
			if err := Tokens.Delete(tx, o.Hash); err != nil {
				return err
			}
		}
	}
	return Tokens.Put(tx, t)
}

// DeleteToken ends a session; one that isn't there is no error.
func DeleteToken(tx *Tx, hash string) error { return Tokens.Delete(tx, hash) }

func deleteTokens(tx *Tx, user string) error {
	for t := range Tokens.By(tx, ByUser, user) {
		if err := Tokens.Delete(tx, t.Hash); err != nil {
			return err
		}
	}
	return nil
}
