package sequence

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps on monitoring: of a machine in operation the managers
// see that it answers, from the batch that ends the step on.
const (
	nameRegisterMonitoring   = "register-monitoring"
	nameUnregisterMonitoring = "unregister-monitoring"
)

func monitored(on bool) func(*fsm.Tx, *Env) error {
	return func(tx *fsm.Tx, e *Env) error {
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
			m.Monitored, m.Unreachable = nil, nil
			if on && m.Group != "" {
				m.Monitored = timestamppb.New(tx.Now())
			}
		})
	}
}

var (
	registerMonitoring   = &Step{Name: nameRegisterMonitoring, Commit: monitored(true), UndoCommit: monitored(false)}
	unregisterMonitoring = &Step{Name: nameUnregisterMonitoring, Commit: monitored(false), UndoCommit: monitored(true)}
)
