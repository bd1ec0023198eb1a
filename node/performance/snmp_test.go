package performance

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"yagura/node/performance/snmpdtest"
)

func ticks(user, system, idle, wait int) []string {
	return []string{
		fmt.Sprintf(".1.3.6.1.4.1.2021.11.50.0 counter %d", user), ".1.3.6.1.4.1.2021.11.51.0 counter 0",
		fmt.Sprintf(".1.3.6.1.4.1.2021.11.52.0 counter %d", system), fmt.Sprintf(".1.3.6.1.4.1.2021.11.53.0 counter %d", idle),
		fmt.Sprintf(".1.3.6.1.4.1.2021.11.54.0 counter %d", wait),
	}
}

// disks are rows of hrStorageTable: kind (4 fixed disk, 2 RAM), name, size and used.
func disks(rows ...[4]any) []string {
	var out []string
	for column, format := range map[int]string{0: ".1.3.6.1.2.1.25.2.3.1.2.%d objectid .1.3.6.1.2.1.25.2.1.%v", 1: ".1.3.6.1.2.1.25.2.3.1.3.%d string %v",
		2: ".1.3.6.1.2.1.25.2.3.1.5.%d integer %v", 3: ".1.3.6.1.2.1.25.2.3.1.6.%d integer %v"} {
		for i, row := range rows {
			out = append(out, fmt.Sprintf(format, i+1, row[column]))
		}
	}
	return out
}

func percent(index, p int) []string {
	return []string{fmt.Sprintf(".1.3.6.1.4.1.2021.9.1.2.%d string /fs%d", index, index), fmt.Sprintf(".1.3.6.1.4.1.2021.9.1.9.%d integer %d", index, p)}
}

func memory(total, avail int, more ...string) []string {
	return append([]string{fmt.Sprintf(".1.3.6.1.4.1.2021.4.5.0 integer %d", total), fmt.Sprintf(".1.3.6.1.4.1.2021.4.6.0 integer %d", avail)}, more...)
}

// TestAgent holds, against net-snmp's agent, what each kind of answer is taken
// for, good ones and bad ones.
func TestAgent(t *testing.T) {
	agent := snmpdtest.Start(t, "127.0.0.1")
	target := Target{Machine: "ph01", Address: agent.Host, Port: agent.Port, Community: snmpdtest.Community, Interval: time.Second}
	const size = 1000
	well := [][]string{memory(1000, 250), percent(1, 77)}
	for name, c := range map[string]struct {
		objects [][]string
		before  *Counters
		want    map[string]float64
		of      string
		bad     []Reason
	}{
		"ticks": {
			append(well, ticks(1100, 550, 1200, 50)), &Counters{map[string]uint64{ssCPURawUser: 1000, ssCPURawNice: 0, ssCPURawSys: 500, ssCPURawIdle: 1150, ssCPURawWait: 0}},
			map[string]float64{"cpu": 60, "memory": 75, "disk": 77}, "/fs1", nil,
		},
		"first ticks":   {append(well, ticks(1100, 550, 1200, 50)), nil, map[string]float64{"memory": 75, "disk": 77}, "/fs1", nil},
		"wrapped ticks": {append(well, ticks(5, 550, 1200, 50)), &Counters{map[string]uint64{ssCPURawUser: math.MaxUint32 - 5, ssCPURawNice: 0, ssCPURawSys: 500, ssCPURawIdle: 1150, ssCPURawWait: 0}}, map[string]float64{"memory": 75, "disk": 77}, "/fs1", []Reason{BadCounter}},
		"started anew":  {append(well, ticks(1, 1, 1, 0)), &Counters{map[string]uint64{ssCPURawUser: 1000, ssCPURawNice: 0, ssCPURawSys: 500, ssCPURawIdle: 1150, ssCPURawWait: 0}}, map[string]float64{"memory": 75, "disk": 77}, "/fs1", []Reason{BadCounter}},
		"still ticks": {
			append(well, ticks(1000, 500, 1150, 0)), &Counters{map[string]uint64{ssCPURawUser: 1000, ssCPURawNice: 0, ssCPURawSys: 500, ssCPURawIdle: 1150, ssCPURawWait: 0}},
			map[string]float64{"memory": 75, "disk": 77}, "/fs1", nil,
		},
		"processors": {
			append(well, []string{".1.3.6.1.2.1.25.3.3.1.2.1 integer 20", ".1.3.6.1.2.1.25.3.3.1.2.2 integer 60"}), nil,
			map[string]float64{"cpu": 40, "memory": 75, "disk": 77}, "/fs1", nil,
		},
		"processor of 300 %": {append(well, []string{".1.3.6.1.2.1.25.3.3.1.2.1 integer 300"}), nil, map[string]float64{"memory": 75, "disk": 77}, "/fs1", []Reason{BadNonsense}},
		"buffers and cache":  {[][]string{memory(1000, 100, ".1.3.6.1.4.1.2021.4.14.0 integer 200", ".1.3.6.1.4.1.2021.4.15.0 integer 300"), percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"memory": 40, "disk": 1}, "/fs1", nil},
		"newer memory":       {[][]string{memory(1000, 100, ".1.3.6.1.4.1.2021.4.27.0 integer 900"), percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"memory": 10, "disk": 1}, "/fs1", nil},
		"more free than all": {[][]string{memory(1000, 1100), percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"disk": 1}, "/fs1", []Reason{BadNonsense}},
		"negative memory":    {[][]string{memory(1000, -1), percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"disk": 1}, "/fs1", []Reason{BadNonsense}},
		"no memory at all":   {[][]string{memory(0, 0), percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"disk": 1}, "/fs1", []Reason{BadNonsense}},
		"the fullest":        {[][]string{memory(1000, 250), percent(1, 10), percent(2, 90), percent(3, 89), ticks(1, 1, 1, 1)}, nil, map[string]float64{"memory": 75, "disk": 90}, "/fs2", nil},
		"a disk of 130 %":    {[][]string{memory(1000, 250), percent(1, 10), percent(2, 130), ticks(1, 1, 1, 1)}, nil, map[string]float64{"memory": 75, "disk": 10}, "/fs1", []Reason{BadNonsense}},
		"host resources": {
			[][]string{disks([4]any{2, "RAM", 4000, 1000}, [4]any{4, "C:", size, 500}, [4]any{4, "D:", size, 900}, [4]any{4, "/proc", size, size}, [4]any{4, "/snap/x", size, size}), {".1.3.6.1.2.1.25.3.3.1.2.1 integer 7"}}, nil,
			map[string]float64{"cpu": 7, "memory": 25, "disk": 90}, "D:", nil,
		},
		"disks beyond 32 bits": {
			[][]string{disks([4]any{2, "RAM", 4000, 1000}, [4]any{4, "C:", -5, 500}, [4]any{4, "D:", size, size + 1}, [4]any{4, "E:", size, 10}), {".1.3.6.1.2.1.25.3.3.1.2.1 integer 7"}}, nil,
			map[string]float64{"cpu": 7, "memory": 25, "disk": 1}, "E:", []Reason{BadNonsense, BadNonsense},
		},
		"texts for numbers": {[][]string{{".1.3.6.1.4.1.2021.4.5.0 string much", ".1.3.6.1.4.1.2021.4.6.0 string little"}, percent(1, 1), ticks(1, 1, 1, 1)}, nil, map[string]float64{"disk": 1}, "/fs1", []Reason{BadMissing}},
		"nothing":           {nil, nil, nil, "", []Reason{BadMissing, BadMissing, BadMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			agent.Set(sorted(c.objects)...)
			got := ask(t, target, c.before)
			if fmt.Sprint(percents(got)) != fmt.Sprint(c.want) && len(percents(got))+len(c.want) > 0 || got.Values["disk"].Of != c.of {
				t.Errorf("values %v, want %v of %s", got.Values, c.want, c.of)
			}
			var bad []Reason
			for _, b := range got.Bad {
				bad = append(bad, b.Reason)
			}
			if fmt.Sprint(bad) != fmt.Sprint(c.bad) {
				t.Errorf("bad %v, want %v", got.Bad, c.bad)
			}
		})
	}
	wrong := target
	wrong.Community = "public"
	if got := ask(t, wrong, nil); len(got.Values) > 0 || len(got.Bad) != 1 || got.Bad[0].Reason != BadSilent {
		t.Errorf("with a wrong community: %+v", got)
	}
}

func ask(t *testing.T, target Target, before *Counters) Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return Agent{}.Sample(ctx, target, before)
}

func percents(r Reading) map[string]float64 {
	out := map[string]float64{}
	for metric, v := range r.Values {
		out[metric] = v.Percent
	}
	return out
}

// sorted are objects in the order of their ids, as far as these tests need it.
func sorted(groups [][]string) []string {
	var out []string
	for _, prefix := range []string{".1.3.6.1.2.1.25.2.3.1.2.", ".1.3.6.1.2.1.25.2.3.1.3.", ".1.3.6.1.2.1.25.2.3.1.5.", ".1.3.6.1.2.1.25.2.3.1.6.", ".1.3.6.1.2.1.25.3.", ".1.3.6.1.4.1.2021.4.", ".1.3.6.1.4.1.2021.9.1.2.", ".1.3.6.1.4.1.2021.9.1.9.", ".1.3.6.1.4.1.2021.11."} {
		for _, g := range groups {
			for _, o := range g {
				if strings.HasPrefix(o, prefix) {
					out = append(out, o)
				}
			}
		}
	}
	return out
}
