// Package seal encrypts the credentials of other systems before they become
// rows, under a key that all managers of a cluster share and that never enters
// the log: a stolen log, snapshot or backup gives no password away.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// KeySize is the length of a cluster key, bytes.
const KeySize = 32

// version opens each sealed text: AES-256-GCM, 12-byte random nonce.
const version = 1

// ErrOpen is the error of Open for a text that this key didn't seal, or that was altered.
var ErrOpen = errors.New("the credential can't be decrypted: the cluster key is another one, or the text was altered")

// Sealer seals and opens under one cluster key. It may be used by many goroutines.
type Sealer struct{ aead cipher.AEAD }

// New makes a sealer from a cluster key of KeySize bytes.
func New(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the cluster key has %d bytes, it takes %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// NewKey makes a random cluster key.
func NewKey() []byte {
	k := make([]byte, KeySize)
	rand.Read(k) // never fails since Go 1.24
	return k
}

// Seal encrypts plain. An empty text stays empty: "no password" is no secret.
func (s *Sealer) Seal(plain []byte) []byte {
	if len(plain) == 0 {
		return nil
	}
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	out[0] = version
	rand.Read(out[1:])
	return s.aead.Seal(out, out[1:], plain, out[:1])
}

// Open decrypts what Seal made. ErrOpen when it can't.
func (s *Sealer) Open(sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	n := 1 + s.aead.NonceSize()
	if len(sealed) < n || sealed[0] != version {
		return nil, ErrOpen
	}
	plain, err := s.aead.Open(nil, sealed[1:n], sealed[n:], sealed[:1])
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}
