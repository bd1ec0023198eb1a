package mail

import (
	"bytes"

	"yagura/drivers"
)

// Bytes is a mail as it goes over the wire.
func Bytes(cfg Config, m drivers.Message) ([]byte, error) {
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	out, err := s.message(m, cfg.To)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = out.WriteTo(&b)
	return b.Bytes(), err
}
