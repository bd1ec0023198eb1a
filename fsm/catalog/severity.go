package catalog

import (
	"strconv"
	"strings"
)

// Severity is info, warning or error for an event: for ESMPRO the two highest
// bits of its id, as the event service of Windows defines them, for VMware the
// colour that the alarm has changed to, for the others by category. It is ""
// when nothing says it.
func Severity(notifier, source, id string) string {
	switch notifier {
	case notifierESMPRO:
		n, err := strconv.ParseUint(strings.TrimPrefix(NormalEventID(notifier, id), "0x"), 16, 32)
		if err != nil {
			return ""
		}
		if n>>30 == 0 && CategoryOf(notifier, source, id) != "" {
			// Sources that don't set the bits report faults, and recoveries of them.
			if IsRecovery(CategoryOf(notifier, source, id)) {
				return "info"
			}
			return "warning"
		}
		return [...]string{"info", "info", "warning", "error"}[n>>30]
	case notifierVMware:
		switch {
		case strings.HasSuffix(id, " to red"):
			return "error"
		case strings.HasSuffix(id, " to yellow"), strings.HasSuffix(id, " to gray"):
			return "warning"
		case strings.HasSuffix(id, " to green"):
			return "info"
		}
	case notifierPerf:
		if CategoryOf(notifier, source, id) == "vm-server" {
			return "warning"
		}
		return "info"
	}
	return ""
}
