package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// has checks an error's kind and words; "!word" must not be in it.
func has(t *testing.T, err error, kind schema.Kind, words ...string) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Fatalf("%v: kind %q, want %q", err, schema.KindOf(err), kind)
	}
	for _, w := range words {
		w, not := strings.CutPrefix(w, "!")
		if strings.Contains(err.Error(), w) == not {
			t.Errorf("%q: %q", err, w)
		}
	}
}

func ref(t *testing.T, c *fsmtest.Cluster, path string) fsm.GroupRef {
	t.Helper()
	r, err := fsm.ResolveGroup(c.Store().View(), path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// blade is a document of a physical machine that can be put into operation.
func blade(name, spec string) fsm.Document {
	return doc("Machine", name, `{'kind':'physical','managed':true,'bmc':{'address':'`+name+`','user':'u','password':'p'},`+spec+`}`)
}

// TestWhyAMachineIsRejected goes through all that makes a pool machine unusable;
// the error names it with the reason.
func TestWhyAMachineIsRejected(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*schema.Machine)
		words  string
	}{
		"degraded":    {func(m *schema.Machine) { m.HardwareStatus = schema.HardwareDegraded }, "ph03: its hardware is degraded"},
		"failed":      {func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed }, "ph03: its hardware is failed"},
		"abnormal":    {func(m *schema.Machine) { m.Status, m.StatusReason = schema.StatusAbnormal, "job 00007 failed" }, "ph03: its status is abnormal: job 00007 failed"},
		"in use":      {func(m *schema.Machine) { m.Status, m.StatusReason = schema.StatusInUse, "job 00008 works on it" }, "ph03: job 00008 works on it"},
		"maintenance": {func(m *schema.Machine) { m.Maintenance = true }, "ph03: it is in maintenance"},
		"gone":        {func(m *schema.Machine) { m.Gone, m.Subsystem = true, "vc1" }, "ph03: subsystem vc1 doesn't report it any more"},
		"no BMC":      {func(m *schema.Machine) { m.Bmc = nil }, "ph03: it has no BMC"},
		"model":       {func(m *schema.Machine) { m.ModelName = "R140" }, `ph03: its model name is "R140", model r120 is for "R120"`},
		"template":    {func(m *schema.Machine) { m.Template = true }, "ph03: it is a template"},
	} {
		t.Run(name, func(t *testing.T) {
			c := physical(t)
			edit(c, "ph03", tt.change)
			v := c.Store().View()
			old, _ := fsm.Machines.Get(v, "ph01")
			_, _, err := fsm.PickSubstitute(v, old, nil)
			has(t, err, schema.KindTooFewMachines, "db01", tt.words, "the common pool: group db doesn't permit its use")
			apply(t, c, doc("Host", "db/db03", `{}`))
			_, err = fsm.PickForGroup(c.Store().View(), ref(t, c, "db"), "", "", nil)
			has(t, err, schema.KindTooFewMachines, tt.words)
		})
	}
	c := physical(t)
	v := c.Store().View()
	old, _ := fsm.Machines.Get(v, "ph01")
	_, _, err := fsm.PickSubstitute(v, old, func(m string) bool { return m == "ph03" })
	has(t, err, schema.KindTooFewMachines, "ph03: a job works on it", "ph02: it runs in group db as host db02")
	m, why, err := fsm.PickSubstitute(v, old, nil)
	if err != nil || m.Name != "ph03" || !strings.Contains(why, "the pool of group db") || !strings.Contains(why, "only one") {
		t.Errorf("%v, %q, %v", m, why, err)
	}
}

func TestSubstituteByRank(t *testing.T) {
	c := physical(t, doc("Group", "other", `{'kind':'physical'}`), doc("Model", "other/r120", `{'model_name':'R120'}`), doc("Model", "db/r140", `{'model_name':'R140','priority':20}`))
	pick := func() string {
		t.Helper()
		v := c.Store().View()
		old, _ := fsm.Machines.Get(v, "ph01")
		m, _, err := fsm.PickSubstitute(v, old, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m.Name
	}
	// The old machine's model goes before one of a higher priority.
	apply(t, c, blade("a140", `'model_name':'R140','pool_groups':['db']`))
	if got := pick(); got != "ph03" {
		t.Errorf("%s", got)
	}
	// Hardware that is known to be normal goes before unknown.
	apply(t, c, blade("z120", `'model_name':'R120','pool_groups':['db']`))
	edit(c, "z120", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareNormal })
	if got := pick(); got != "z120" {
		t.Errorf("%s", got)
	}
	// One that waits in fewer pools goes first.
	edit(c, "ph03", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareNormal })
	if got := pick(); got != "ph03" {
		t.Errorf("%s", got)
	}
	c.Do(func(tx *fsm.Tx) error {
		for m := range fsm.Machines.By(tx, fsm.ByPool, "db") { // only groups of equal specifications share machines
			if m.Name == "a140" {
				return fsm.RemoveFromPool(tx, m.Name, "db")
			}
		}
		return nil
	})
	c.Do(func(tx *fsm.Tx) error { return fsm.Models.Delete(tx, "db/r140") })
	c.Do(func(tx *fsm.Tx) error { return fsm.AddToPool(tx, "ph03", "other") })
	if got := pick(); got != "z120" {
		t.Errorf("%s", got)
	}
	// Without one of the old machine's model another model of the group will do.
	edit(c, "ph03", func(m *schema.Machine) { m.Maintenance = true })
	edit(c, "z120", func(m *schema.Machine) { m.Maintenance = true })
	apply(t, c, doc("Model", "db/any", `{}`), blade("b150", `'pool_groups':['db']`))
	if got := pick(); got != "b150" {
		t.Errorf("%s", got)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, "ph01", "b150", "") })
	if m := machine(t, c, "b150"); m.Model != "any" || m.Host != "db01" || m.Replaced == nil {
		t.Errorf("%v", m)
	}
}

func TestOnlyPhysicalMachinesAreReplaced(t *testing.T) {
	c := demo(t)
	for name, words := range map[string]string{"web01": "another VM server", "esx01": "move its VMs", "spare01": "it isn't managed"} {
		m := machine(t, c, name)
		_, _, err := fsm.PickSubstitute(c.Store().View(), m, nil)
		has(t, err, schema.KindGroupUnusable, name, words)
	}
}

// TestCommonPool holds the four conditions of [1.10.2].
func TestCommonPool(t *testing.T) {
	type world struct {
		group, model string // specs
		running      string // model name of the machine that runs; "-": none runs
		pool         bool   // a usable machine is in the group's pool
		common       string // model name of the machine in the common pool
	}
	for name, tt := range map[string]struct {
		world
		want string // machine, or "!" and words of the error
	}{
		"permitted":                      {world{"'use_common_pool':true", "", "-", false, "R120"}, "common"},
		"not permitted":                  {world{"", "", "-", false, "R120"}, "!doesn't permit"},
		"the group's pool first":         {world{"'use_common_pool':true", "", "-", true, "R120"}, "pooled"},
		"same model name runs":           {world{"'use_common_pool':true", "", "R120", false, "R120"}, "common"},
		"another model name runs":        {world{"'use_common_pool':true", "", "R140", false, "R120"}, `!common: its model name is "R120", that of the machines that run under model m is "R140"`},
		"no model name, none runs":       {world{"'use_common_pool':true", "", "-", false, ""}, "common"},
		"no model name, one runs":        {world{"'use_common_pool':true", "", "R120", false, ""}, `!common: its model name is none`},
		"no model name on either":        {world{"'use_common_pool':true", "", "", false, ""}, `!common: its model name is none`},
		"model name beside none":         {world{"'use_common_pool':true", "", "", false, "R120"}, `!that of the machines that run under model m is none`},
		"model asks for another":         {world{"'use_common_pool':true", "'model_name':'R140'", "-", false, "R120"}, `!common: its model name is "R120", model m is for "R140"`},
		"model asks for it, none runs":   {world{"'use_common_pool':true", "'model_name':'R120'", "-", false, "R120"}, "common"},
		"model asks for it, and it runs": {world{"'use_common_pool':true", "'model_name':'R120'", "R120", false, "R120"}, "common"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bootstrapped(t)
			apply(t, c, doc("Group", "g", `{'kind':'physical'`+comma(tt.group)+`}`), doc("Model", "g/m", `{`+tt.model+`}`), doc("Host", "g/h1", `{}`), doc("Host", "g/h2", `{}`),
				blade("common", `'model_name':'`+tt.common+`'`))
			if tt.running != "-" {
				apply(t, c, blade("runs", `'model_name':'`+tt.running+`','group':'g','host':'h1'`))
			}
			if tt.pool {
				apply(t, c, blade("pooled", `'pool_groups':['g']`))
			}
			choice, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "g"), "", "", nil)
			if words, bad := strings.CutPrefix(tt.want, "!"); bad {
				has(t, err, schema.KindTooFewMachines, words)
				return
			}
			if err != nil || choice.Machine.Name != tt.want || choice.Common != (tt.want == "common") {
				t.Errorf("%+v, %v", choice, err)
			}
			if tt.running == "-" {
				return
			}
			old := machine(t, c, "runs")
			if m, _, err := fsm.PickSubstitute(c.Store().View(), old, nil); err != nil || m.Name != tt.want {
				t.Errorf("substitute %v, %v", m, err)
			}
		})
	}
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return "," + s
}

// TestCommonPoolByModel: a machine without a model name serves a model that no
// machine runs under, although others run in the group; and one of the pool of
// a model of low priority goes before the common pool.
func TestCommonPoolByModel(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Group", "g", `{'kind':'physical','use_common_pool':true}`), doc("Model", "g/a", `{'priority':2}`), doc("Model", "g/b", `{'priority':1}`),
		doc("Host", "g/h1", `{}`), doc("Host", "g/h2", `{}`), blade("runs", `'model_name':'R120','group':'g','host':'h1','model':'a'`), blade("bare", `'tags':[]`))
	choice, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "g"), "", "", nil)
	if err != nil || choice.Machine.Name != "bare" || choice.Model.Name != "b" || choice.Host.Name != "h2" || !choice.Common {
		t.Errorf("%+v, %v", choice, err)
	}
	_, err = fsm.PickForGroup(c.Store().View(), ref(t, c, "g/a"), "", "", nil)
	has(t, err, schema.KindTooFewMachines, "bare: its model name is none")
}

// TestGroupsAndModelsByPriority: below a category the groups, and in each its
// models, are tried in descending priority, all pools before the common pool.
func TestGroupsAndModelsByPriority(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Category", "c", `{}`),
		doc("Group", "c/low", `{'kind':'physical','priority':1,'use_common_pool':true}`), doc("Model", "low/m", `{}`), doc("Host", "low/l1", `{}`),
		doc("Group", "c/high", `{'kind':'physical','priority':5,'use_common_pool':true}`), doc("Model", "high/x", `{'priority':1}`), doc("Model", "high/y", `{'priority':2}`), doc("Host", "high/h1", `{}`),
		blade("common", `'tags':[]`), blade("lowpool", `'pool_groups':['low']`))
	pick := func(path, machine, netinfo string) string {
		t.Helper()
		choice, err := fsm.PickForGroup(c.Store().View(), ref(t, c, path), machine, netinfo, nil)
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(choice.Why, choice.Machine.Name) || !strings.Contains(choice.Why, choice.Host.Group+"/"+choice.Host.Name) {
			t.Errorf("why: %s", choice.Why)
		}
		return choice.Machine.Name + " " + choice.Host.Group + "/" + choice.Host.Name + " " + choice.Model.Name
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect(pick("c", "", ""), "lowpool low/l1 m")      // all pools before the common pool
	expect(pick("c/high", "", ""), "common high/h1 y") // the model of the higher priority
	expect(pick("c/high/x", "", ""), "common high/h1 x")
	apply(t, c, blade("highpool", `'pool_groups':['high']`))
	expect(pick("c", "", ""), "highpool high/h1 y") // the group of the higher priority
	expect(pick("c", "", "l1"), "lowpool low/l1 m") // only the other one has this host setting
	expect(pick("c/low", "lowpool", ""), "lowpool low/l1 m")
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeLocks(tx, "00001", []string{fsm.Exclusive("host", "high/h1")}) })
	expect(pick("c", "", ""), "lowpool low/l1 m")
	_, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "high"), "", "", nil)
	has(t, err, schema.KindHostSetting, "h1: job 00001 works with it")
}

func TestPickForGroupErrors(t *testing.T) {
	c := physical(t, doc("Host", "db/db03", `{'nics':[{'addresses':[{'ip':'10.9.0.3','prefix':24}]}]}`), doc("Group", "bare", `{'kind':'physical'}`), doc("Category", "void", `{}`))
	for name, tt := range map[string]struct {
		path, machine, netinfo string
		kind                   schema.Kind
		words                  []string
	}{
		"unknown machine":     {"db", "ph99", "", schema.KindMachineNotFound, []string{"ph99", "no such machine"}},
		"machine that runs":   {"db", "ph01", "", schema.KindInGroup, []string{"ph01", "db01"}},
		"machine of no pool":  {"db", "ph04", "", schema.KindTooFewMachines, []string{"ph04", "common pool can't be named"}},
		"unknown host":        {"db", "", "db99", schema.KindHostSetting, []string{"db99"}},
		"unknown address":     {"db", "", "10.9.0.99", schema.KindHostSetting, []string{"10.9.0.99"}},
		"host in use":         {"db", "", "db01", schema.KindHostSetting, []string{"db01", "ph01 runs under it"}},
		"address in use":      {"db", "", "10.9.0.2", schema.KindHostSetting, []string{"db02", "ph02 runs under it"}},
		"no model":            {"bare", "", "", schema.KindGroupUnusable, []string{"bare", "no model"}},
		"no group":            {"void", "", "", schema.KindGroupNotFound, []string{"void", "no group"}},
		"below the top: host": {"shop", "", "nowhere", schema.KindHostSetting, []string{"nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fsm.PickForGroup(c.Store().View(), ref(t, c, tt.path), tt.machine, tt.netinfo, nil)
			has(t, err, tt.kind, tt.words...)
		})
	}
	for _, netinfo := range []string{"", "db03", "10.9.0.3", "::ffff:10.9.0.3"} {
		for _, named := range []string{"", "ph03"} {
			choice, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "db"), named, netinfo, nil)
			if err != nil || choice.Machine.Name != "ph03" || choice.Host.Name != "db03" || choice.Common {
				t.Errorf("%q %q: %+v, %v", netinfo, named, choice, err)
			}
		}
	}
	// In the place of a machine that is named none of the common pool comes.
	apply(t, c, doc("Group", "db", `{'use_common_pool':true}`), doc("Machine", "ph03", `{'maintenance':true}`))
	_, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "db"), "ph03", "", nil)
	has(t, err, schema.KindTooFewMachines, "ph03: it is in maintenance", "!ph04")
	apply(t, c, doc("Group", "db", `{'use_common_pool':false}`), doc("Machine", "ph03", `{'maintenance':false}`))
	// A job on a machine that is named is waited for, one on another is not.
	busy := func(string) bool { return true }
	if _, err := fsm.PickForGroup(c.Store().View(), ref(t, c, "db"), "ph03", "", busy); err != nil {
		t.Error(err)
	}
	_, err = fsm.PickForGroup(c.Store().View(), ref(t, c, "db"), "", "", busy)
	has(t, err, schema.KindTooFewMachines, "ph03: a job works on it")
}

func TestPickMaster(t *testing.T) {
	c := physical(t, doc("Host", "db/db03", `{}`))
	for _, name := range []string{"ph03", "ph04"} { // of the pool, of the common pool
		choice, err := fsm.PickMaster(c.Store().View(), ref(t, c, "db"), name, "")
		if err != nil || choice.Machine.Name != name || choice.Host.Name != "db03" || choice.Model.Name != "r120" {
			t.Errorf("%+v, %v", choice, err)
		}
	}
	_, err := fsm.PickMaster(c.Store().View(), ref(t, c, "db"), "ph01", "")
	has(t, err, schema.KindInGroup, "db01")
	_, err = fsm.PickMaster(c.Store().View(), ref(t, c, "db"), "ph99", "")
	has(t, err, schema.KindMachineNotFound, "ph99")
	edit(c, "ph04", func(m *schema.Machine) { m.ModelName = "R140" })
	_, err = fsm.PickMaster(c.Store().View(), ref(t, c, "db"), "ph04", "")
	has(t, err, schema.KindTooFewMachines, "ph04", "R140")
}

// TestManyCandidatesFitIntoAnError: the text stays below what the API carries,
// and says how many it leaves out.
func TestManyCandidatesFitIntoAnError(t *testing.T) {
	c := physical(t)
	c.Do(func(tx *fsm.Tx) error {
		for i := range 500 {
			m := &schema.Machine{Name: fmt.Sprintf("pool%03d", i), Kind: schema.MachinePhysical, Managed: true, PoolGroups: []string{"db"}, Status: schema.StatusReady, Maintenance: true}
			if i%2 == 0 {
				m.Status, m.StatusReason = schema.StatusAbnormal, fmt.Sprintf("job %05d failed", i)
			}
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		return fsm.RemoveFromPool(tx, "ph03", "db")
	})
	old := machine(t, c, "ph01")
	_, _, err := fsm.PickSubstitute(c.Store().View(), old, nil)
	has(t, err, schema.KindTooFewMachines, "more")
	if len(err.Error()) > 2048 {
		t.Errorf("%d bytes", len(err.Error()))
	}
}
