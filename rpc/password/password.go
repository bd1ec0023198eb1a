// Package password hashes and checks the passwords of accounts with Argon2id
// (RFC 9106).
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"yagura/fsm/schema"
)

// Limits on a password.
const (
	MinLength = 8   // characters
	MaxLength = 128 // characters
)

// The cost of a hash made now. Hashes carry their own parameters, so older
// ones stay valid when these are raised. 19 MiB and two passes are what OWASP
// names as a minimum; more would let a handful of logins fill a manager's memory.
const (
	memoryKiB  = 19 * 1024
	passes     = 2
	threads    = 1
	saltLength = 16
	keyLength  = 32
)

// Limits on the parameters of a stored hash: a damaged row can't eat the memory.
const (
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
	maxThreads   = 16
)

// Check holds a new password against the rules: its length, and printable
// characters only. The error's kind is KindPassword.
func Check(password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return schema.Errorf(schema.KindPassword, "password", "not valid UTF-8")
	case n < MinLength:
		return schema.Errorf(schema.KindPassword, "password", "too short").WithHint("use at least %d characters", MinLength)
	case n > MaxLength:
		return schema.Errorf(schema.KindPassword, "password", "too long").WithHint("use at most %d characters", MaxLength)
	}
	for _, r := range password {
		if !unicode.IsPrint(r) {
			return schema.Errorf(schema.KindPassword, "password", "contains a forbidden character").WithHint("use printable characters and spaces")
		}
	}
	return nil
}

// Hasher computes hashes, a few at a time: each takes 19 MiB and some ten
// milliseconds of a core.
type Hasher struct {
	slots chan struct{} // a token for each computation in flight
	dummy []byte        // hash that no password has, for unknown accounts
}

// NewHasher makes a Hasher that runs at most n computations at once.
func NewHasher(n int) *Hasher {
	h := &Hasher{slots: make(chan struct{}, max(n, 1))}
	key := make([]byte, keyLength)
	rand.Read(key)
	h.dummy = format(newSalt(), key)
	return h
}

// Hash gives the hash of a password in PHC string form. It fails only with ctx.
func (h *Hasher) Hash(ctx context.Context, password string) ([]byte, error) {
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	return compute(password), nil
}

// Verify tells whether password is the one that hash was made of. An empty
// hash (no such account) takes the same time and is never right. The error is
// ctx's, or KindCorrupt for a hash that can't be read.
func (h *Hasher) Verify(ctx context.Context, hash []byte, password string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	known := len(hash) > 0
	if !known {
		hash = h.dummy
	}
	p, err := parse(string(hash))
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(got, p.key) == 1 && known, nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() { <-h.slots }

// compute makes a hash with a fresh salt.
func compute(password string) []byte {
	salt := newSalt()
	return format(salt, argon2.IDKey([]byte(password), salt, passes, memoryKiB, threads, keyLength))
}

func newSalt() []byte {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	return salt
}

// format writes the PHC string of a hash made with the parameters of now.
func format(salt, key []byte) []byte {
	b64 := base64.RawStdEncoding
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// phc is a parsed PHC string.
type phc struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

func parse(s string) (phc, error) {
	bad := func() (phc, error) {
		return phc{}, schema.Errorf(schema.KindCorrupt, "password hash", "not a readable Argon2id hash").WithHint("an administrator has to set the password anew")
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return bad()
	}
	var p phc
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.threads); n != 3 || err != nil {
		return bad()
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(f[4])
	p.key, err2 = base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 ||
		p.memory < 8 || p.memory > maxMemoryKiB || p.passes < 1 || p.passes > maxPasses || p.threads < 1 || p.threads > maxThreads {
		return bad()
	}
	return p, nil
}
