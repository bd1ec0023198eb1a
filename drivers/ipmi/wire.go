package ipmi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/binary"
	"net"
	"sync"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// wire is the UDP socket of one session. It holds what the library leaves out,
// since a fence believes in the answer "off": once the session is open, an
// answer that isn't authenticated by the session's key, or that came before, is
// dropped as if it had never arrived; an agreement on weaker algorithms than
// those asked for is refused; and refusals of the shortest form keep their status.
type wire struct {
	net.Conn
	user, password string
	suite          suite

	mu       sync.Mutex // guards the rest: the library reads on goroutines of its own
	console  []byte     // random number of ours
	role     byte
	session  []byte // our session id
	key      []byte // K1, once the BMC's random number is known
	open     bool
	sequence uint32 // of the last answer
	refusal  error
}

// suite is what a cipher suite consists of.
type suite struct {
	auth      types.AuthAlg
	integrity types.IntegrityAlg
	crypt     types.CryptAlg
}

// Where the parts of a datagram are (sections 13.1.3 and 13.6).
const (
	atSession  = 4  // after the RMCP header
	atPayload  = 16 // after the session header
	atTypeByte = atSession + 1
	atID       = atSession + 2
	atSequence = atSession + 6
	secured    = 0xc0 // payload encrypted and authenticated
)

// dialer opens the wire for the library.
type dialer struct {
	ctx  context.Context
	made *wire
}

// Dial implements proxy.Dialer of golang.org/x/net.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.made.Conn = c
	return d.made, nil
}

// Write notes what of our own messages the session's key comes from.
func (w *wire) Write(b []byte) (int, error) {
	if p, ok := payload(b, types.PayloadTypeRAKPMessage1); ok && len(p) >= 25 {
		w.mu.Lock()
		w.console, w.role = bytes.Clone(p[8:24]), p[24]
		w.mu.Unlock()
	}
	return w.Conn.Write(b)
}

// Read gives the next datagram that counts.
func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		if err != nil || w.accepts(b[:n]) {
			return n, err
		}
	}
}

// refused tells why the BMC or the wire refused to open a session.
func (w *wire) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

func (w *wire) accepts(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		return w.authentic(b)
	}
	for _, kind := range []types.PayloadType{types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4} {
		if p, ok := payload(b, kind); ok && len(p) >= 2 {
			w.setup(kind, p)
			return true
		}
	}
	return false
}

// setup notes what the messages that open a session say. The caller holds mu.
func (w *wire) setup(kind types.PayloadType, p []byte) {
	switch status := types.RmcpStatusCode(p[1]); {
	case status != types.RmcpStatusCodeNoErrors:
		w.refusal = types.NewRmcpStatusError(status)
	case kind == types.PayloadTypeRmcpOpenSessionResponse && len(p) >= 36:
		w.session = bytes.Clone(p[4:8])
		if types.AuthAlg(p[16]) != w.suite.auth || types.IntegrityAlg(p[24]) != w.suite.integrity || types.CryptAlg(p[32]) != w.suite.crypt {
			w.refusal = fault.Errorf(drivers.KindRefused, "the management controller answered with another cipher suite than the one asked for")
		}
	case kind == types.PayloadTypeRAKPMessage2 && len(p) >= 24:
		sik, err := crypto.DeriveSIK(w.suite.auth, w.console, p[8:24], w.role, w.user, crypto.PadPassword20([]byte(w.password)))
		if err == nil {
			w.key, err = crypto.DeriveK1(w.suite.auth, sik)
		}
		if err != nil {
			w.refusal = fault.Errorf(drivers.KindRefused, "no session key: %v", err)
		}
	case kind == types.PayloadTypeRAKPMessage4:
		w.open = true
	}
}

// authentic tells whether an answer in the open session is the BMC's, and new
// (sections 13.28.4 and 6.12.13). The caller holds mu.
func (w *wire) authentic(b []byte) bool {
	size, _ := crypto.IntegrityAuthCodeLen(w.suite.integrity)
	if len(b) < atPayload+size || b[atTypeByte] != secured|byte(types.PayloadTypeIPMI) || !bytes.Equal(b[atID:atID+4], w.session) {
		return false
	}
	code, err := crypto.SessionIntegrityAuthCode(w.suite.integrity, b[atSession:len(b)-size], w.key, "")
	if err != nil || !hmac.Equal(code, b[len(b)-size:]) {
		return false
	}
	sequence := binary.LittleEndian.Uint32(b[atSequence:])
	if sequence <= w.sequence {
		return false
	}
	w.sequence = sequence
	return true
}

// payload returns the payload of an RMCP+ datagram of one kind that is neither
// authenticated nor encrypted, as those are that open a session.
func payload(b []byte, kind types.PayloadType) ([]byte, bool) {
	if len(b) < atPayload || b[atSession] != byte(types.AuthTypeRMCPPlus) || b[atTypeByte] != byte(kind) {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(b[atPayload-2:]))
	if len(b) < atPayload+n {
		return nil, false
	}
	return b[atPayload : atPayload+n], true
}
