package fsm_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// asked is a request and what must come of it.
type asked struct {
	ask func(tx *fsm.Tx) ([]string, error)
	// jobs are the jobs queued, as SEQUENCE param=value ... in the order of names.
	jobs []string
	// kind and words are of the error, when there must be one.
	kind  schema.Kind
	words []string
}

// try makes requests, each on the same state: nothing that a request has
// queued is there for the next.
func try(t *testing.T, c *fsmtest.Cluster, table map[string]asked) {
	t.Helper()
	for name, tt := range table {
		t.Run(name, func(t *testing.T) {
			undo := fmt.Errorf("undo")
			_, err := c.Try(func(tx *fsm.Tx) error {
				ids, err := tt.ask(tx)
				if err != nil {
					if tx.Changed() {
						t.Error("a refused request changed something")
					}
					return err
				}
				var got []string
				for _, id := range ids {
					j, err := fsm.JobRow(tx, id)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, jobText(j))
				}
				if tt.kind == "" && !slices.Equal(got, tt.jobs) {
					t.Errorf("queued\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.jobs, "\n"))
				}
				return undo
			})
			if tt.kind == "" && err != undo {
				t.Fatal(err)
			}
			if tt.kind != "" {
				has(t, err, tt.kind, tt.words...)
			}
		})
	}
}

func jobText(j *schema.Job) string {
	s := j.Sequence
	for _, k := range slices.Sorted(maps.Keys(j.Params)) {
		s += " " + k + "=" + j.Params[k]
	}
	if len(j.Targets) > 0 {
		s += " on " + strings.Join(j.Targets, ",")
	}
	return s
}

// TestRequestReplace holds the rules of pvmutl replace (catalog, 2.2).
func TestRequestReplace(t *testing.T) {
	c := physical(t)
	replace := func(group, host string) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestReplace(tx, group, host) }
	}
	try(t, c, map[string]asked{
		"as printed":            {ask: replace("shop¥db", "db01"), jobs: []string{"TakeOverMachine group=db host=db01 machine=ph01 on ph01"}},
		"category missing":      {ask: replace("db", "db02"), jobs: []string{"TakeOverMachine group=db host=db02 machine=ph02 on ph02"}},
		"bare category":         {ask: replace("shop", "db01"), kind: schema.KindGroupNotFound, words: []string{"shop", "a group is needed"}},
		"no such group":         {ask: replace("shop/nowhere", "db01"), kind: schema.KindGroupNotFound, words: []string{"shop/nowhere"}},
		"no host":               {ask: replace("db", ""), kind: schema.KindInvalid, words: []string{"host is missing"}},
		"no machine under host": {ask: replace("db", "db09"), kind: schema.KindMachineNotFound, words: []string{"db09"}},
		"machine for host":      {ask: replace("db", "ph01"), kind: schema.KindMachineNotFound, words: []string{"runs as host db01"}},
		"replaced already": {ask: func(tx *fsm.Tx) ([]string, error) {
			if _, err := fsm.RequestReplace(tx, "db", "db01"); err != nil {
				return nil, err
			}
			_, err := fsm.RequestReplace(tx, "db", "db01")
			has(t, err, schema.KindNotStarted, "00001", "ph01 already")
			return []string{"00001"}, nil
		}, jobs: []string{"TakeOverMachine group=db host=db01 machine=ph01 on ph01"}},
	})
	edit(c, "ph03", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	try(t, c, map[string]asked{"no substitute": {ask: replace("db", "db01"), kind: schema.KindTooFewMachines, words: []string{"ph03: its hardware is failed", "use_common_pool"}}})
	c.Do(func(tx *fsm.Tx) error { return fsm.RemoveFromPool(tx, "ph03", "db") })
	try(t, c, map[string]asked{"empty pool": {ask: replace("db", "db01"), kind: schema.KindTooFewMachines, words: []string{"put a machine into the group's pool"}}})
	try(t, demo(t), map[string]asked{
		"VM":        {ask: replace("web", "web01"), kind: schema.KindGroupUnusable, words: []string{"web01", "only a physical machine"}},
		"VM server": {ask: replace("vmservers", "esx01"), kind: schema.KindGroupUnusable, words: []string{"esx01"}},
	})
}

// TestRequestChangeUse holds the rules of pvmutl move (catalog, 2.1).
func TestRequestChangeUse(t *testing.T) {
	c := shared(t)
	move := func(dest, source, host string, count int) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestChangeUse(tx, fsm.ChangeUse{Dest: dest, Source: source, Host: host, Count: count})
		}
	}
	one := "ChangeServerGroup group=dst source=c/src"
	try(t, c, map[string]asked{
		"searched":                  {ask: move("c¥dst", "src", "", 0), jobs: []string{one}},
		"count":                     {ask: move("dst", "src", "", 2), jobs: []string{one, one}},
		"to a model":                {ask: move("c/dst/m", "c/src/m", "", 0), jobs: []string{"ChangeServerGroup group=dst model=m source=c/src/m"}},
		"named":                     {ask: move("dst", "src", "s2", 0), jobs: []string{"ChangeServerGroup group=dst machine=a2 source=c/src on a2"}},
		"from a category":           {ask: move("dst", "c", "", 0), jobs: []string{"ChangeServerGroup group=dst source=c"}},
		"to a category":             {ask: move("c", "src", "", 0), jobs: []string{"ChangeServerGroup group=c source=c/src"}},
		"host of a category":        {ask: move("dst", "c", "s1", 0), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"host to a category":        {ask: move("c", "src", "s1", 0), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"count too big":             {ask: move("dst", "src", "", 3), kind: schema.KindGroupUnusable, words: []string{"only 2 of the 3", "d2", "d3"}},
		"host and count":            {ask: move("dst", "src", "s1", 1), kind: schema.KindInvalid, words: []string{"s1", "one of the two"}},
		"negative count":            {ask: move("dst", "src", "", -1), kind: schema.KindInvalid, words: []string{"-1"}},
		"no such destination":       {ask: move("x", "src", "", 0), kind: schema.KindGroupNotFound, words: []string{"x"}},
		"no such source":            {ask: move("dst", "x", "", 0), kind: schema.KindGroupNotFound, words: []string{"x"}},
		"not in the pool":           {ask: move("dst", "src", "s3", 0), kind: schema.KindGroupUnusable, words: []string{"a3: it isn't in the pool"}},
		"no machine under the host": {ask: move("dst", "src", "s9", 0), kind: schema.KindTooFewMachines, words: []string{"s9"}},
		"same group":                {ask: move("src", "c/src", "", 0), kind: schema.KindGroupUnusable, words: []string{"one group"}},
		"nobody stands in the pool": {ask: move("src", "dst", "", 0), kind: schema.KindGroupUnusable, words: []string{"in use"}},
	})
	apply(t, c, doc("Host", "dst/d4", `{}`), doc("Host", "src/s4", `{}`))
	try(t, c, map[string]asked{
		"too few candidates": {ask: move("dst", "src", "", 3), kind: schema.KindTooFewMachines, words: []string{"only 2 of the 3", "a1, a2: it is taken", "a3: it isn't in the pool"}},
		"none in the pool":   {ask: move("src", "dst", "", 0), kind: schema.KindTooFewMachines, words: []string{"a4: it isn't in the pool"}},
	})
	c.Do(func(tx *fsm.Tx) error { _, err := fsm.RequestPower(tx, "reboot", "src", []string{"s1"}); return err })
	try(t, c, map[string]asked{
		"busy ones are left alone":  {ask: move("dst", "src", "", 2), kind: schema.KindTooFewMachines, words: []string{"a1: a job works on it"}},
		"a named one is waited for": {ask: move("dst", "src", "s1", 0), jobs: []string{"ChangeServerGroup group=dst machine=a1 source=c/src on a1"}},
	})
}

// TestRequestAddMachine holds the rules of pvmutl add and addspecname (catalog,
// 2.3 and 2.4) and of master machines.
func TestRequestAddMachine(t *testing.T) {
	c := physical(t, doc("Host", "db/db03", `{'nics':[{'addresses':[{'ip':'192.168.1.1','prefix':24}]}]}`))
	add := func(a fsm.AddMachine) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddMachine(tx, a) }
	}
	try(t, c, map[string]asked{
		"category":              {ask: add(fsm.AddMachine{Group: "shop"}), jobs: []string{"MoveFromPoolToGroup group=shop"}},
		"group":                 {ask: add(fsm.AddMachine{Group: "db"}), jobs: []string{"MoveFromPoolToGroup group=db"}},
		"model":                 {ask: add(fsm.AddMachine{Group: `shop\db\r120`}), jobs: []string{"MoveFromPoolToGroup group=db model=r120"}},
		"named":                 {ask: add(fsm.AddMachine{Group: "shop¥db", Machine: "ph03"}), jobs: []string{"MoveFromPoolToGroup group=db machine=ph03 on ph03"}},
		"last one":              {ask: add(fsm.AddMachine{Group: "db", Count: 1}), jobs: []string{"MoveFromPoolToGroup group=db"}},
		"host":                  {ask: add(fsm.AddMachine{Group: "db", NetInfo: "db03"}), jobs: []string{"MoveFromPoolToGroup group=db host=db03"}},
		"address and machine":   {ask: add(fsm.AddMachine{Group: "db", NetInfo: "192.168.1.1", Machine: "ph03"}), jobs: []string{"MoveFromPoolToGroup group=db host=192.168.1.1 machine=ph03 on ph03"}},
		"host of a category":    {ask: add(fsm.AddMachine{Group: "shop", NetInfo: "db03"}), jobs: []string{"MoveFromPoolToGroup group=shop host=db03"}},
		"too few host settings": {ask: add(fsm.AddMachine{Group: "db", Count: 2}), kind: schema.KindHostSetting, words: []string{"only 1 of the 2", "db03"}},
		"machine and count":     {ask: add(fsm.AddMachine{Group: "db", Machine: "ph03", Count: 1}), kind: schema.KindInvalid, words: []string{"ph03"}},
		"count of a host":       {ask: add(fsm.AddMachine{Group: "db", NetInfo: "db03", Count: 2}), kind: schema.KindInvalid, words: []string{"db03"}},
		"machine of a category": {ask: add(fsm.AddMachine{Group: "shop", Machine: "ph03"}), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"unknown machine":       {ask: add(fsm.AddMachine{Group: "db", Machine: "x"}), kind: schema.KindMachineNotFound, words: []string{"x"}},
		"running machine":       {ask: add(fsm.AddMachine{Group: "db", Machine: "ph01"}), kind: schema.KindInGroup, words: []string{"db01"}},
		"common-pool machine":   {ask: add(fsm.AddMachine{Group: "db", Machine: "ph04"}), kind: schema.KindTooFewMachines, words: []string{"common pool can't be named"}},
		"unknown host":          {ask: add(fsm.AddMachine{Group: "db", NetInfo: "x"}), kind: schema.KindHostSetting, words: []string{"name or address x"}},
		"host in use":           {ask: add(fsm.AddMachine{Group: "db", NetInfo: "10.9.0.1"}), kind: schema.KindHostSetting, words: []string{"ph01 runs under it"}},
		"no such group":         {ask: add(fsm.AddMachine{Group: "x"}), kind: schema.KindGroupNotFound, words: []string{"x"}},
		"master":                {ask: add(fsm.AddMachine{Group: "db", Machine: "ph04", Master: true}), jobs: []string{"MoveMasterMachineToGroup group=db machine=ph04 master=true on ph04"}},
		"master of a category":  {ask: add(fsm.AddMachine{Group: "shop", Machine: "ph04", Master: true}), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"master not named":      {ask: add(fsm.AddMachine{Group: "db", Master: true}), kind: schema.KindInvalid, words: []string{"must be named"}},
		"master that runs":      {ask: add(fsm.AddMachine{Group: "db", Machine: "ph02", Master: true}), kind: schema.KindInGroup, words: []string{"db02"}},
	})
	apply(t, c, doc("Host", "db/db04", `{}`), doc("Host", "db/db05", `{}`))
	try(t, c, map[string]asked{"too few machines": {ask: add(fsm.AddMachine{Group: "db", Count: 2}), kind: schema.KindTooFewMachines, words: []string{"only 1 of the 2", "ph03: it is taken", "doesn't permit"}}})
	apply(t, c, doc("Group", "db", `{'use_common_pool':true}`))
	try(t, c, map[string]asked{
		"pool, then common pool": {ask: add(fsm.AddMachine{Group: "db", Count: 2}), jobs: []string{"MoveFromPoolToGroup group=db", "MoveFromManagedToGroup group=db"}},
		"more than both":         {ask: add(fsm.AddMachine{Group: "db", Count: 3}), kind: schema.KindTooFewMachines, words: []string{"only 2 of the 3", "ph03, ph04: it is taken"}},
	})
	v := demo(t)
	apply(t, v, doc("Host", "web/extra", `{}`), doc("Machine", "spare01", `{'pool_groups':['web']}`))
	try(t, v, map[string]asked{
		"VM of the pool": {ask: add(fsm.AddMachine{Group: "web"}), jobs: []string{"MoveFromPoolToGroup group=web"}},
		"VM as a master": {ask: add(fsm.AddMachine{Group: "web", Machine: "spare01", Master: true}), jobs: []string{"MoveMasterMachineToGroup group=web vm=spare01 on spare01"}},
	})
}

// TestRequestRemoveMachine holds the rules of pvmutl delete (catalog, 2.5).
func TestRequestRemoveMachine(t *testing.T) {
	c := shared(t)
	remove := func(group, host string, count int) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestRemoveMachine(tx, fsm.RemoveMachine{Group: group, Host: host, Count: count})
		}
	}
	try(t, c, map[string]asked{
		"from the pool":        {ask: remove("src", "s1", 0), jobs: []string{"MoveFromGroupToPool group=src host=s1 machine=a1 on a1"}},
		"from the common pool": {ask: remove("src", "s2", 0), jobs: []string{"MoveFromGroupToManaged group=src host=s2 machine=a2 on a2"}},
		"searched":             {ask: remove("c/dst", "", 0), jobs: []string{"MoveFromGroupToPool group=dst"}},
		"category":             {ask: remove("c", "", 0), jobs: []string{"MoveFromGroupToPool group=c"}},
		"all of them":          {ask: remove("src", "", 3), jobs: []string{"MoveFromGroupToPool group=src", "MoveFromGroupToManaged group=src", "MoveFromGroupToPool group=src"}},
		"one more":             {ask: remove("src", "", 4), kind: schema.KindTooFewHosts, words: []string{"only 3 of the 4", "a1, a2, a3"}},
		"host of a category":   {ask: remove("c", "s1", 0), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"unknown host":         {ask: remove("src", "x", 0), kind: schema.KindMachineNotFound, words: []string{"x"}},
		"host and count":       {ask: remove("src", "s1", 2), kind: schema.KindInvalid, words: []string{"s1"}},
		"no such group":        {ask: remove("x", "", 0), kind: schema.KindGroupNotFound, words: []string{"x"}},
	})
	apply(t, c, doc("Group", "void", `{'kind':'physical'}`))
	try(t, c, map[string]asked{"none runs": {ask: remove("void", "", 0), kind: schema.KindTooFewHosts, words: []string{"no machine is running"}}})
}

// TestRequestDeploy holds the rules of pvmutl deploygrp, deploysrv and deploypsv (catalog, 2.6 to 2.8).
func TestRequestDeploy(t *testing.T) {
	c := physical(t, doc("Software", "extra", `{'kind':'script'}`))
	deploy := func(d fsm.Deploy) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeploy(tx, d) }
	}
	try(t, c, map[string]asked{
		"group":                   {ask: deploy(fsm.Deploy{Group: "shop¥db"}), jobs: []string{"DistributeSoftwareToMachinesInGroup group=db on ph01,ph02"}},
		"group, all anew":         {ask: deploy(fsm.Deploy{Group: "db", Full: true, Sequential: true}), jobs: []string{"DistributeSoftwareToMachinesInGroup full=true group=db sequential=true on ph01,ph02"}},
		"group, exactly":          {ask: deploy(fsm.Deploy{Group: "db", Only: true, Software: []string{"extra", "db"}}), jobs: []string{"DistributeSoftwareToMachinesInGroupWithScenario group=db software=extra,db on ph01,ph02"}},
		"host":                    {ask: deploy(fsm.Deploy{Group: "db", Host: "db01"}), jobs: []string{"DistributeSoftwareToMachine group=db host=db01 machine=ph01 on ph01"}},
		"host, all anew":          {ask: deploy(fsm.Deploy{Group: "db", Host: "db01", Full: true}), jobs: []string{"DistributeSoftwareToMachine full=true group=db host=db01 machine=ph01 on ph01"}},
		"host, of the registered": {ask: deploy(fsm.Deploy{Group: "db", Host: "db01", Software: []string{"base"}}), jobs: []string{"DistributeSoftwareToMachine group=db host=db01 machine=ph01 software=base on ph01"}},
		"host, exactly":           {ask: deploy(fsm.Deploy{Group: "db", Host: "db01", Only: true, Software: []string{"extra"}}), jobs: []string{"DistributeSoftwareToMachineWithScenario group=db host=db01 machine=ph01 software=extra on ph01"}},
		"machine":                 {ask: deploy(fsm.Deploy{Machine: "ph04", Software: []string{"extra"}, Only: true}), jobs: []string{"DistributeSoftwareToMachineWithScenario machine=ph04 software=extra on ph04"}},
		"not registered":          {ask: deploy(fsm.Deploy{Group: "db", Host: "db01", Software: []string{"extra"}}), kind: schema.KindSoftware, words: []string{"extra", "isn't registered"}},
		"unknown software":        {ask: deploy(fsm.Deploy{Group: "db", Only: true, Software: []string{"db", "x"}}), kind: schema.KindSoftware, words: []string{"software x"}},
		"template":                {ask: deploy(fsm.Deploy{Machine: "ph04", Software: []string{"tmpl"}}), kind: schema.KindSoftware, words: []string{"tmpl", "template"}},
		"unknown machine":         {ask: deploy(fsm.Deploy{Machine: "x", Software: []string{"db"}}), kind: schema.KindMachineNotFound, words: []string{"x"}},
		"no software":             {ask: deploy(fsm.Deploy{Machine: "ph04"}), kind: schema.KindInvalid, words: []string{"none is named"}},
		"part for a group":        {ask: deploy(fsm.Deploy{Group: "db", Software: []string{"db"}}), kind: schema.KindInvalid, words: []string{"no part"}},
		"exactly nothing":         {ask: deploy(fsm.Deploy{Group: "db", Only: true}), kind: schema.KindInvalid, words: []string{"no software"}},
		"named and all":           {ask: deploy(fsm.Deploy{Group: "db", Only: true, Full: true, Software: []string{"db"}}), kind: schema.KindInvalid, words: []string{"all that is registered"}},
		"one in order":            {ask: deploy(fsm.Deploy{Group: "db", Host: "db01", Sequential: true}), kind: schema.KindInvalid, words: []string{"order"}},
		"nothing at all":          {ask: deploy(fsm.Deploy{}), kind: schema.KindInvalid, words: []string{"neither"}},
		"category":                {ask: deploy(fsm.Deploy{Group: "shop"}), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
		"unknown host":            {ask: deploy(fsm.Deploy{Group: "db", Host: "x"}), kind: schema.KindMachineNotFound, words: []string{"x"}},
	})
	apply(t, c, doc("Group", "void", `{'kind':'physical'}`))
	edit(c, "ph04", func(m *schema.Machine) { m.Managed = false })
	try(t, c, map[string]asked{
		"none runs":   {ask: deploy(fsm.Deploy{Group: "void"}), kind: schema.KindTooFewHosts, words: []string{"void"}},
		"not managed": {ask: deploy(fsm.Deploy{Machine: "ph04", Software: []string{"db"}}), kind: schema.KindMachineNotFound, words: []string{"isn't managed"}},
	})
}

func TestRequestPoolAndDestroy(t *testing.T) {
	c := physical(t, doc("Group", "vms", `{'kind':'vm'}`))
	pool := func(group, machine string, add bool) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPool(tx, group, machine, add) }
	}
	apply(t, c, blade("ph05", `'group':'db','host':'db05','model_name':'R120'`), doc("Host", "db/db05", `{}`))
	try(t, c, map[string]asked{
		"into the pool":        {ask: pool("shop/db", "ph04", true), jobs: []string{"MoveFromManagedToPool group=db machine=ph04 on ph04"}},
		"out of the pool":      {ask: pool("db", "ph03", false), jobs: []string{"MoveFromPoolToManaged group=db machine=ph03 on ph03"}},
		"in it already":        {ask: pool("db", "ph03", true), kind: schema.KindConflict, words: []string{"ph03", "already"}},
		"not in it":            {ask: pool("db", "ph04", false), kind: schema.KindConflict, words: []string{"ph04", "isn't in the pool"}},
		"runs from it":         {ask: pool("db", "ph01", false), kind: schema.KindConflict, words: []string{"ph01", "db01"}},
		"from the common pool": {ask: pool("db", "ph05", true), kind: schema.KindConflict, words: []string{"ph05", "common pool"}},
		"other kind":           {ask: pool("vms", "ph04", true), kind: schema.KindConflict, words: []string{"ph04", "for kind vm"}},
		"unknown machine":      {ask: pool("db", "x", true), kind: schema.KindMachineNotFound, words: []string{"x"}},
		"category":             {ask: pool("shop", "ph04", true), kind: schema.KindGroupNotFound, words: []string{"a group is needed"}},
	})
	v := demo(t)
	try(t, v, map[string]asked{"software for a template": {
		ask: func(tx *fsm.Tx) ([]string, error) {
			if err := fsm.SoftwareItems.Put(tx, &schema.Software{Name: "s", Kind: schema.SoftwareScript}); err != nil {
				t.Fatal(err)
			}
			_, err := fsm.RequestDeploy(tx, fsm.Deploy{Machine: "tmpl-web", Software: []string{"s"}})
			has(t, err, schema.KindMachineNotFound, "tmpl-web", "no such machine")
			return nil, nil
		},
	}})
	destroy := func(vm string) func(*fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDestroyVM(tx, vm) }
	}
	try(t, v, map[string]asked{
		"unknown":     {ask: destroy("x"), kind: schema.KindMachineNotFound, words: []string{"x"}},
		"no VM":       {ask: destroy("esx01"), kind: schema.KindMachineNotFound, words: []string{"no VM"}},
		"in a group":  {ask: destroy("web01"), kind: schema.KindInGroup, words: []string{"web01", "vmdelete"}},
		"not managed": {ask: destroy("spare01"), kind: schema.KindConflict, words: []string{"isn't managed"}},
	})
	v.Do(func(tx *fsm.Tx) error { return fsm.Manage(tx, "spare01") })
	try(t, v, map[string]asked{"managed": {ask: destroy("spare01"), jobs: []string{"DeleteManagedVirtualMachine machine=spare01 on spare01"}}})
	v.Do(func(tx *fsm.Tx) error { return fsm.AddToPool(tx, "spare01", "web") })
	try(t, v, map[string]asked{"in a pool": {ask: destroy("spare01"), kind: schema.KindConflict, words: []string{"pool of web"}}})
}

func TestJobPath(t *testing.T) {
	c := physical(t)
	v := c.Store().View()
	for params, want := range map[string]fsm.GroupRef{
		"group=shop":          {Category: "shop"},
		"group=db":            {Category: "shop", Group: "db"},
		"group=db model=r120": {Category: "shop", Group: "db", Model: "r120"},
		"group=shop/db":       {Category: "shop", Group: "db"},
	} {
		j := &schema.Job{Params: map[string]string{}}
		for _, p := range strings.Fields(params) {
			k, value, _ := strings.Cut(p, "=")
			j.Params[k] = value
		}
		if got, err := fsm.JobPath(v, j, fsm.ParamGroup); err != nil || got != want {
			t.Errorf("%s: %+v, %v", params, got, err)
		}
	}
	_, err := fsm.JobPath(v, &schema.Job{Params: map[string]string{"group": "db", "model": "x"}}, fsm.ParamGroup)
	has(t, err, schema.KindGroupNotFound, "db/x")
	got, err := fsm.JobPath(v, &schema.Job{Params: map[string]string{"group": "x", "model": "r120", "source": "shop/db/r120"}}, fsm.ParamSource)
	if err != nil || got.Model != "r120" || got.Group != "db" {
		t.Errorf("%+v, %v", got, err)
	}
}
