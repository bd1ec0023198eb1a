// Package apierr carries errors through the API: one table gives each kind of
// error its gRPC code, HTTP status and pvmutl exit code, and ToStatus and
// FromStatus put a *schema.Error on the wire and take it off again.
//
// It is a leaf beside the server so that the Go client and pvmutl share the
// table without linking the server.
package apierr

import (
	"maps"
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"

	"yagura/fsm/schema"
)

// Entry is what one kind of error looks like outside.
type Entry struct {
	Code codes.Code // gRPC
	HTTP int        // HTTP status
	Exit int        // pvmutl's exit code; 1 to 16 are the manual's [3.2.1], ours start at 20
}

// table is THE list of error kinds. A test holds that it is complete.
var table = map[schema.Kind]Entry{
	schema.KindInvalid:         {codes.InvalidArgument, http.StatusBadRequest, 1},
	schema.KindMachineNotFound: {codes.NotFound, http.StatusNotFound, 2},
	schema.KindTooFewHosts:     {codes.FailedPrecondition, http.StatusConflict, 2},
	schema.KindSameServer:      {codes.FailedPrecondition, http.StatusConflict, 2},
	schema.KindDuplicateHost:   {codes.InvalidArgument, http.StatusBadRequest, 2},
	schema.KindGroupNotFound:   {codes.NotFound, http.StatusNotFound, 3},
	schema.KindHostSetting:     {codes.FailedPrecondition, http.StatusConflict, 4},
	schema.KindTooFewMachines:  {codes.FailedPrecondition, http.StatusConflict, 5},
	schema.KindNotStarted:      {codes.FailedPrecondition, http.StatusConflict, 6},
	schema.KindJobFailed:       {codes.Aborted, http.StatusConflict, 7},
	schema.KindSoftware:        {codes.NotFound, http.StatusNotFound, 8},
	schema.KindPermission:      {codes.PermissionDenied, http.StatusForbidden, 9},
	schema.KindExists:          {codes.AlreadyExists, http.StatusConflict, 10},
	schema.KindInGroup:         {codes.FailedPrecondition, http.StatusConflict, 11},
	schema.KindAccount:         {codes.PermissionDenied, http.StatusForbidden, 14},
	schema.KindLogin:           {codes.Unauthenticated, http.StatusUnauthorized, 15},
	schema.KindPassword:        {codes.InvalidArgument, http.StatusBadRequest, 15},
	schema.KindText:            {codes.InvalidArgument, http.StatusBadRequest, 15},
	schema.KindPolicyNotFound:  {codes.NotFound, http.StatusNotFound, 16},
	schema.KindNotFound:        {codes.NotFound, http.StatusNotFound, 20},
	schema.KindConflict:        {codes.FailedPrecondition, http.StatusConflict, 21},
	schema.KindUnauthenticated: {codes.Unauthenticated, http.StatusUnauthorized, 22},
	schema.KindRateLimited:     {codes.ResourceExhausted, http.StatusTooManyRequests, 23},
	schema.KindNoLeader:        {codes.Unavailable, http.StatusServiceUnavailable, 24},
	schema.KindOutcomeUnknown:  {codes.Unknown, http.StatusServiceUnavailable, 25},
	schema.KindTimeout:         {codes.DeadlineExceeded, http.StatusGatewayTimeout, 26},
	schema.KindUnavailable:     {codes.Unavailable, http.StatusBadGateway, 27},
	schema.KindCancelled:       {codes.Canceled, http.StatusConflict, 28},
	schema.KindParked:          {codes.FailedPrecondition, http.StatusConflict, 29},
	schema.KindCorrupt:         {codes.DataLoss, http.StatusUnprocessableEntity, 30},
	schema.KindInternal:        {codes.Internal, http.StatusInternalServerError, 31},
	schema.KindTooLarge:        {codes.ResourceExhausted, http.StatusRequestEntityTooLarge, 32},
	schema.KindGroupUnusable:   {codes.FailedPrecondition, http.StatusConflict, 3},
	schema.KindGone:            {codes.OutOfRange, http.StatusBadRequest, 33},
}

// Lookup gives the entry of a kind; that of KindInternal for a kind that this
// version doesn't know.
func Lookup(kind schema.Kind) Entry {
	if e, ok := table[kind]; ok {
		return e
	}
	return table[schema.KindInternal]
}

// Kinds lists all kinds of errors, in alphabetical order.
func Kinds() []schema.Kind {
	return slices.Sorted(maps.Keys(table))
}

// ExitCode is pvmutl's exit code for err, 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return Lookup(schema.KindOf(err)).Exit
}
