package redfish

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/stmcginnis/gofish/common"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// sent marks the error of a request that may have had an effect.
type sent struct{ error }

func (e *sent) Unwrap() error { return e.error }

// maxMessage bounds what of a BMC's words goes into an error.
const maxMessage = 200

// classify says what an error means, and words it without the BMC's raw answer.
func classify(err error) (drivers.Kind, error) {
	var own *fault.Error
	if errors.As(err, &own) {
		return own.Kind, own
	}
	var effect *sent
	changed := errors.As(err, &effect)
	var said *common.Error
	if errors.As(err, &said) && said.HTTPReturnedStatusCode != 0 {
		return kindOfStatus(said.HTTPReturnedStatusCode, changed), describe(said)
	}
	var op *net.OpError
	if changed && !(errors.As(err, &op) && op.Op == "dial") {
		return drivers.KindUnknown, err
	}
	return drivers.KindUnreachable, err
}

// kindOfStatus reads an HTTP status as DSP0266 (section 8.5) uses it. A server
// error in answer to a change may have come before or after the change.
func kindOfStatus(code int, changed bool) drivers.Kind {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return drivers.KindAuth
	case http.StatusNotFound:
		return drivers.KindNotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return drivers.KindUnsupported
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return drivers.KindBusy
	}
	switch {
	case code < 500:
		return drivers.KindRefused
	case changed:
		return drivers.KindUnknown
	}
	return drivers.KindFailed
}

// describe gives the status and the first message.
func describe(e *common.Error) error {
	text := e.Message
	if len(e.ExtendedInfos) > 0 && e.ExtendedInfos[0].Message != "" {
		text = e.ExtendedInfos[0].Message
	}
	if len(text) > maxMessage {
		text = text[:maxMessage] + "..."
	}
	return fmt.Errorf("HTTP status %d: %s", e.HTTPReturnedStatusCode, text)
}
