package formats_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yagura/placement"
	"yagura/placement/formats"
)

// files of every format, small enough to know the answer.
var files = map[string]string{
	"binpack1.txt":        "2\n first\n 10 3 2\n6\n4\n5\n second\n 100.0 2 1\n49.5\n50.5\n",
	"set.bpp":             "'one  1'\n 2\n 10\n 6 1\n 4 2\n",
	"v.vbp":               "2\n10 10\n3\n6 1 1\n4 9 1\n5 -1 1\n",
	"c.hosts.csv":         "host,cluster,cpu_numa0,cpu_numa1,mem_mib\nh1,A,4,4,100\nh2,A,4,4,100\n",
	"c.vms.csv":           "vm,host,vcpu,mem_mib,cpu_load\nv1,h1,2,50,0.5\nv2,h2,2,50,0.25\n",
	"model_x.txt":         "1\n0 10\n2\n0 0 10 8 0 1\n0 1 10 8 1 0\n1\n1 0\n2\n0 4 1\n0 5 1\n0\n1 1 1\n",
	"assignment_x.txt":    "0 1\n",
	"g.data":              "g1|u|preferred||\n\nn1|1000|100|900|0|0|4|N|u|1||N|0|0|1.0\n\ni1|100|0|2|running|Y|n1||ext||1|-\n",
	"own.placement":       "server s capacity=10 state=off startable\nvm v cost=3\n",
	"broken.vbp":          "2\n10\n",
	"broken.bpp":          "x\n1\n10\n11 1\n",
	"binpackbroken.txt":   "1\n a\n 10 1 1\n99\n",
	"bad.hosts.csv":       "name\nh\n",
	"bad.vms.csv":         "vm,host\nv,h\n",
	"model_bad.txt":       "1\n0 10\n1\n0 0 10 8 0\n1\n1 0\n1\n7 4 1\n",
	"assignment_bad.txt":  "0\n",
	"unreadable.placment": "server\n",
}

func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadFileKnowsTheFormats(t *testing.T) {
	dir := write(t)
	for _, tc := range []struct {
		file         string
		servers, vms int
		objective    placement.Objective
		on           int // servers after the plan
	}{
		{"binpack1.txt", 3, 3, placement.Create, 2},
		{"binpack1.txt#second", 2, 2, placement.Create, 1},
		{"set.bpp", 3, 3, placement.Create, 2},
		{"v.vbp", 3, 3, placement.Create, 2},
		{"c.hosts.csv", 2, 2, placement.SavePower, 1},
		{"c.vms.csv", 2, 2, placement.SavePower, 1},
		{"model_x.txt", 2, 2, placement.SavePower, 2},
		{"g.data", 1, 1, placement.SavePower, 1},
		{"own.placement", 1, 1, placement.Create, 1},
	} {
		p, req, err := formats.ReadFile(filepath.Join(dir, tc.file))
		if err != nil {
			t.Error(err)
			continue
		}
		plan, err := placement.Solve(context.Background(), p, req)
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		if len(p.Servers) != tc.servers || len(p.VMs) != tc.vms || req.Objective != tc.objective || plan.After.ServersOn != tc.on || len(plan.Unplaced) > 0 {
			t.Errorf("%s: %d servers, %d VMs, %s, %d on; want %+v", tc.file, len(p.Servers), len(p.VMs), req.Objective, plan.After.ServersOn, tc)
		}
	}
}

func TestReadFileTellsWhatIsWrong(t *testing.T) {
	dir := write(t)
	for file, want := range map[string]string{
		"broken.vbp": "capacity 2", "broken.bpp": "line 4", "binpackbroken.txt": `instance "a"`, "bad.hosts.csv": `column "host"`, "model_bad.txt": "service 7 of 1",
		"unreadable.placment": "line 1", "binpack1.txt#third": `no instance "third"`, "missing.vbp": "no such file",
	} {
		_, _, err := formats.ReadFile(filepath.Join(dir, file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strings.SplitN(file, "#", 2)[0]) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}
