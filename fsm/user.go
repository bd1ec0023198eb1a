package fsm

import "yagura/fsm/schema"

// Users are accounts, by name.
var Users = &Table[*schema.User]{
	number: 14, name: "user",
	key: func(u *schema.User) string { return u.Name },
}

// Tokens are login sessions, by the hash of the token.
var Tokens = &Table[*schema.Token]{
	number: 15, name: "token",
	key:     func(t *schema.Token) string { return t.Hash },
	indexes: []Index[*schema.Token]{{Name: ByUser, Values: func(t *schema.Token) []string { return []string{t.User} }}},
}
