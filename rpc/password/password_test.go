package password

import (
	"context"
	"strings"
	"testing"

	"yagura/fsm/schema"
)

func TestHashIsVerified(t *testing.T) {
	h := NewHasher(1)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(hash), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %s", hash)
	}
	other, err := h.Hash(t.Context(), "correct horse")
	if err != nil || string(other) == string(hash) {
		t.Fatalf("two hashes of a password are equal (%v)", err)
	}
	for text, want := range map[string]bool{"correct horse": true, "correct horsE": false, "": false} {
		if got, err := h.Verify(t.Context(), hash, text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if got, err := h.Verify(t.Context(), nil, "correct horse"); err != nil || got {
		t.Errorf("no hash: got %v, %v", got, err)
	}
	// Hashes made with other parameters stay valid (RFC 9106's form, made by the reference program).
	old := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := h.Verify(t.Context(), []byte(old), "password"); err != nil || !got {
		t.Errorf("reference hash: got %v, %v", got, err)
	}
}

func TestDamagedHashIsAnError(t *testing.T) {
	h := NewHasher(1)
	for _, bad := range []string{
		"x", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=64,t=1,p=1$!!$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
	} {
		if ok, err := h.Verify(t.Context(), []byte(bad), "password"); ok || schema.KindOf(err) != schema.KindCorrupt {
			t.Errorf("%s: got %v, %v", bad, ok, err)
		}
	}
}

func TestHashesAreBounded(t *testing.T) {
	h := NewHasher(1)
	if err := h.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "correct horse"); err == nil {
		t.Error("a second hash ran")
	}
	if _, err := h.Verify(ctx, nil, "correct horse"); err == nil {
		t.Error("a second check ran")
	}
	h.leave()
}

func TestRules(t *testing.T) {
	for text, ok := range map[string]bool{
		"pvmuser1": true, "correct horse": true, "日本語のパスワード": true, strings.Repeat("x", MaxLength): true,
		"short": false, "": false, strings.Repeat("x", MaxLength+1): false, "tab\tinside": false, "bad\xffutf8": false, "zero\x00byte": false,
	} {
		if err := Check(text); (err == nil) != ok || err != nil && schema.KindOf(err) != schema.KindPassword {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
