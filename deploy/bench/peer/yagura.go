package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"yagura/deploy/testbed"
)

// StartYagura starts three managers, without a simulated datacenter. snmp are
// further lines of the trap sink's settings.
func StartYagura(ctx context.Context, bin, dir, snmp string) (*testbed.Bed, error) {
	bed, err := testbed.New(dir, filepath.Join(bin, "pvmd"), 3, 71)
	if err != nil {
		return nil, err
	}
	bed.Extra = snmp
	if err := bed.Prepare(); err != nil {
		return nil, err
	}
	for i := range bed.Nodes {
		if err := bed.StartNode(i); err != nil {
			return nil, err
		}
	}
	_, err = bed.Leader(ctx)
	return bed, err
}

// ResidentMB is the resident memory of a process, megabytes.
func ResidentMB(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// CPUTime is the processor time that some processes have taken so far.
func CPUTime(pids []int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	var sum time.Duration
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name in brackets may hold anything; utime and stime are the 12th
		// and 13th field after it.
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		for _, v := range f[11:13] {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}
