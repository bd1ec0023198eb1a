package vcenter

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// faultOf returns the fault that vCenter answered with, or nil.
func faultOf(err error) types.BaseMethodFault {
	var f interface{ Fault() types.BaseMethodFault }
	if errors.As(err, &f) {
		return f.Fault()
	}
	return nil
}

// wrap makes a *drivers.Error of what a call returned.
func (d *Driver) wrap(r request, err error) error {
	if err == nil {
		return nil
	}
	var own *drivers.Error
	if errors.As(err, &own) {
		return own
	}
	return d.errorf(d.kindOf(r, err), r, "%w", err)
}

func (d *Driver) errorf(k drivers.Kind, r request, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.cfg.Name, Op: r.op, Object: r.object, Err: fmt.Errorf(format, args...)}
}

func (d *Driver) kindOf(r request, err error) drivers.Kind {
	if f := faultOf(err); f != nil {
		return kindOfFault(f, drivers.KindRefused)
	}
	var missing *notFound
	var several *ambiguous
	var no *refusal
	var never *unsupported
	switch {
	case errors.As(err, &never):
		return drivers.KindUnsupported
	case errors.As(err, &missing):
		return drivers.KindNotFound
	case errors.As(err, &several), errors.As(err, &no):
		return drivers.KindRefused
	}
	// A dial that failed sent nothing, and a read that failed changed nothing.
	if dial := (errDial{}); errors.As(err, &dial) || !r.effect {
		return drivers.KindUnreachable
	}
	return drivers.KindUnknown
}

// kindOfFault translates a fault by its type. A declared fault (vSphere API
// reference, VimFault) that isn't named here gets otherwise: KindRefused when
// a method returned it, since it then did nothing, KindFailed when it ended a task.
func kindOfFault(f types.BaseMethodFault, otherwise drivers.Kind) drivers.Kind {
	switch f.(type) {
	case *types.NotAuthenticated, types.BaseNoPermission, types.BaseInvalidLogin:
		return drivers.KindAuth
	case *types.ManagedObjectNotFound:
		return drivers.KindNotFound
	case types.BaseTaskInProgress, *types.ConcurrentAccess:
		return drivers.KindBusy
	case *types.NotSupported, *types.NotImplemented, *types.MethodNotFound:
		return drivers.KindUnsupported
	case *types.HostNotConnected, *types.HostNotReachable, types.BaseInvalidState, types.BaseInvalidArgument:
		return otherwise
	case types.BaseHostCommunication:
		// vCenter lost its host in the middle of it.
		return drivers.KindUnknown
	case types.BaseRuntimeFault, *types.RequestCanceled:
		return drivers.KindFailed
	}
	return otherwise
}

// faultName is the type name of a fault, which its documentation is found under.
func faultName(f types.BaseMethodFault) string {
	t := reflect.TypeOf(f)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// taskError makes the error of a task that failed.
func (d *Driver) taskError(r request, e *types.LocalizedMethodFault) error {
	if e == nil || e.Fault == nil {
		return d.errorf(drivers.KindFailed, r, "the task failed without a reason")
	}
	k := kindOfFault(e.Fault, drivers.KindFailed)
	return d.errorf(k, r, "%s: %w", faultName(e.Fault), task.Error{LocalizedMethodFault: e})
}

// refusal is why the driver doesn't send a request.
type refusal struct{ why string }

func (e *refusal) Error() string { return e.why }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// unsupported is an operation that vCenter doesn't have.
type unsupported struct{ op string }

func (e *unsupported) Error() string { return "vCenter has no operation " + e.op }
