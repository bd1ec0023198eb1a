package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestSealAndOpen(t *testing.T) {
	key := NewKey()
	s, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("correct horse")
	one, two := s.Seal(plain), s.Seal(plain)
	if bytes.Equal(one, two) || bytes.Contains(one, plain) {
		t.Error("sealing isn't random, or hides nothing")
	}
	if got, err := s.Open(one); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	for i := range one {
		bad := bytes.Clone(one)
		bad[i] ^= 1
		if _, err := s.Open(bad); !errors.Is(err, ErrOpen) {
			t.Fatalf("altered at %d: %v", i, err)
		}
		if _, err := s.Open(one[:i]); i > 0 && !errors.Is(err, ErrOpen) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	other, err := New(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(one); !errors.Is(err, ErrOpen) {
		t.Errorf("opened with another key: %v", err)
	}
	if s.Seal(nil) != nil {
		t.Error("no password is no secret")
	}
	if got, err := s.Open(nil); got != nil || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := New(key[:16]); err == nil {
		t.Error("a short key was taken")
	}
}
