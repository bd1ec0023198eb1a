package ipmi

import (
	"errors"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// sent marks the error of a request that may have had an effect.
type sent struct{ error }

func (e *sent) Unwrap() error { return e.error }

// maxMessage bounds what of the library's words goes into an error.
const maxMessage = 200

// classify says what an error means, and words it briefly.
func classify(err error) (drivers.Kind, error) {
	var own *fault.Error
	if errors.As(err, &own) {
		return own.Kind, own
	}
	var effect *sent
	changed := errors.As(err, &effect)
	var status *types.RmcpStatusError
	if errors.As(err, &status) {
		return kindOfStatus(status.StatusCode()), status
	}
	if errors.Is(err, client.ErrRAKPAuthentication) {
		return drivers.KindAuth, errors.New("the password is wrong, or the answers aren't those of the management controller")
	}
	var code *types.ResponseError
	if errors.As(err, &code) && code.CompletionCode() != types.CodeOK {
		return kindOfCompletion(code.CompletionCode(), changed), fmt.Errorf("completion code %#02x: %s", uint8(code.CompletionCode()), code.CompletionCode())
	}
	text := err.Error()
	if len(text) > maxMessage {
		text = text[:maxMessage] + "..."
	}
	if changed {
		return drivers.KindUnknown, errors.New(text)
	}
	return drivers.KindUnreachable, errors.New(text)
}

// kindOfStatus reads the status of a session that didn't come about (table 13-15).
func kindOfStatus(code types.RmcpStatusCode) drivers.Kind {
	switch code {
	case types.RmcpStatusCodeNoResToCreateSess, types.RmcpStatusCodeNoResToCreateSessAtRole:
		return drivers.KindBusy
	case types.RmcpStatusCodeInvalidRole, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel, types.RmcpStatusCodeInvalidNameLength,
		types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeUnauthorizedGUID, types.RmcpStatusCodeInvalidIntegrityCheckValue:
		return drivers.KindAuth
	}
	return drivers.KindRefused
}

// hasNot tells whether a status means that the BMC doesn't have the cipher suite.
func hasNot(err error) bool {
	var status *types.RmcpStatusError
	if !errors.As(err, &status) {
		return false
	}
	switch status.StatusCode() {
	case types.RmcpStatusCodeInvalidAuthAlg, types.RmcpStatusCodeInvalidIntegrityAlg, types.RmcpStatusCodeInvalidConfidentAlg,
		types.RmcpStatusCodeNoMatchingAuthPayload, types.RmcpStatusCodeNoMatchingIntegrityPayload, types.RmcpStatusCodeNoCipherSuiteMatch:
		return true
	}
	return false
}

// kindOfCompletion reads a completion code (table 5-2). One that leaves open
// whether a change was made counts as unknown.
func kindOfCompletion(code types.CompletionCode, changed bool) drivers.Kind {
	switch code {
	case types.CodeInsufficientPrivilege, types.CodeSetSessionPrivilegeLevelLevelNotAvailable, types.CodeSetSessionPrivilegeLevelExceedsLimit:
		return drivers.KindAuth
	case types.CodeNodeBusy, types.CodeOutOfSpace, types.CodeCannotProvideResponseFirmwareUpdate, types.CodeCannotProvideResponseBMCInitialize:
		return drivers.KindBusy
	case types.CodeInvalidCommand, types.CodeInvalidCommandForLUN, types.CodeRequestDataFieldInvalid, types.CodeSubFnDisabled:
		return drivers.KindUnsupported
	case types.CodeProcessTimeout, types.CodeCannotProvideResponse, types.CodeCannotExecuteDuplicatedRequest, types.CodeUnspecifiedError:
		if changed {
			return drivers.KindUnknown
		}
		return drivers.KindFailed
	}
	return drivers.KindRefused
}
