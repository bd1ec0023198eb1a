package sequence

import "yagura/fsm/schema"

// kinds is THE list of action sequences.
var kinds = []*Sequence{
	startupMachine,
	shutdownMachine,
	rebootMachine,
	suspendMachine,
	moveMachine,
	failoverVMServer,
	evacuate,
	loadBalance,
	powerSave,
	createMachineToGroup,
	moveMasterMachineToGroup,
	deleteVirtualMachine,
	deleteManagedVirtualMachine,
	takeOverMachine,
	changeServerGroup,
	moveFromPoolToGroup,
	moveFromManagedToGroup,
	moveFromGroupToPool,
	moveFromGroupToManaged,
	moveFromManagedToPool,
	moveFromPoolToManaged,
	distributeToMachine,
	distributeToMachineNamed,
	distributeToGroup,
	distributeToGroupNamed,
	collect,
}

// steps is THE list of steps, by the catalog's names where it has one.
var steps = []*Step{
	startVMServer, startMachine, startActivated, shutdownStep, rebootStep, suspendStep, checkPower, updateConfiguration,
	migrate, move, failover, moveResult,
	checkVMServer, planMigration, fenceVMServer, planFailover, failoverResult,
	checkMoves, rearranged,
	assignHostSetting, bindHost, createVM, collectVM, personalize, configureNetwork, registerDPM, distributeRun, distributeStandby, unregisterDPM,
	releaseHostSetting, deleteVM, changePool,
	lbAdd, lbRemove, vlanAdd, vlanRemove, connectStorage, disconnectStorage, registerMonitoring, unregisterMonitoring,
	startPhysicalMachine, shutdownPhysical, fenceMachine, collectHardware, swapMachine, selectMachine,
	distributeNamed, distributeFaulty, distributeResult,
	collectInventory, collectSubsystem, collectMachines,
}

var byName = func() map[string]*Sequence {
	m := map[string]*Sequence{}
	for _, s := range kinds {
		m[s.Name] = s
	}
	return m
}()

var stepByKey = func() map[string]*Step {
	m := map[string]*Step{}
	for _, s := range steps {
		key := s.Name
		if s.Variant != "" {
			key += "/" + s.Variant
		}
		if m[key] != nil {
			panic("sequence: two steps have one name: " + key)
		}
		m[key] = s
	}
	return m
}()

// Names are the names of all sequences.
func Names() []string {
	out := make([]string, 0, len(kinds))
	for _, s := range kinds {
		out = append(out, s.Name)
	}
	return out
}

// powered are the kinds of machines that a power operation takes.
var powered = []string{schema.MachineVM, schema.MachineVMServer, schema.MachinePhysical}
