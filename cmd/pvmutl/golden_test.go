package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are the command lines whose output is kept in testdata, a file each.
// Every command must be among them.
var goldens = []struct {
	file  string
	args  string // words, split at spaces
	stdin string
	tty   bool
	watch bool // ends by Ctrl-C after the first output
}{
	{file: "list_group", args: "list group"},
	{file: "list_group_json", args: "list group -o json"},
	{file: "list_server", args: `list server shop¥web`},
	{file: "list_server_db", args: "list server db"},
	{file: "list_server_json", args: "list server web -o json"},
	{file: "list_soft", args: "list soft web"},
	{file: "list_soft_yaml", args: "list soft web -o yaml"},
	{file: "move", args: `move shop¥db batch host01`},
	{file: "move_both", args: "move shop/db batch host01 /c 2"},
	{file: "move_count", args: "move shop/db batch /c -1"},
	{file: "replace", args: "replace shop/db db01"},
	{file: "replace_category", args: "replace shop"},
	{file: "add", args: "add shop/db /c 3"},
	{file: "add_json", args: "add shop/db /c 3 -o json"},
	{file: "add_nowait", args: "add shop/db --count 3 --no-wait"},
	{file: "add_master", args: "add shop/db --master"},
	{file: "addspecname", args: "addspecname shop/db 192.168.1.1"},
	{file: "delete", args: "delete shop/db db02"},
	{file: "delete_word", args: "delete shop/db /c two"},
	{file: "deploygrp", args: "deploygrp shop/db /seq"},
	{file: "deploygrp_both", args: "deploygrp shop/db /f /p soft1"},
	{file: "deploygrp_list", args: `deploygrp shop/db /p "soft1", "soft2"`},
	{file: "deploysrv", args: `deploysrv shop/db db01 /a "soft1","soft2"`},
	{file: "deploysrv_host", args: "deploysrv grp1"},
	{file: "deploypsv", args: `deploypsv ph03 "soft1"`},
	{file: "pool_add", args: "pool add shop/db ph04"},
	{file: "pool_remove", args: "pool remove shop/db ph04"},
	{file: "vmdestroy", args: "vmdestroy spare01"},
	{file: "poweron", args: "poweron shop/web web01 web02"},
	{file: "poweron_nowait", args: "poweron web --no-wait"},
	{file: "poweron_nowait_json", args: "poweron web --no-wait -o json"},
	{file: "shutdown_json", args: "shutdown web web01 -o json"},
	{file: "reboot_verbose", args: "reboot web -v"},
	{file: "suspend_terminal", args: "suspend web", tty: true},
	{file: "vmadd", args: `vmadd Category1\Grp1 VM01 /vms Vms01 /VMFS [VMFS01] /NETINFO 192.168.1.100 /a`},
	{file: "vmadd_missing", args: "vmadd web"},
	{file: "vmadd_value", args: "vmadd web vm1 /VMS /NETINFO x"},
	{file: "vmadd_datastore", args: "vmadd web vm1 /DATASTORE x"},
	{file: "vmdelete", args: "vmdelete web web01 /D"},
	{file: "vmmigrate", args: "vmmigrate web web01 esx02"},
	{file: "vmmigrate_many", args: "vmmigrate web web01 esx02 esx03"},
	{file: "vmmigrateandmove", args: "vmmigrateandmove web web01 esx02 /recreate"},
	{file: "evacuate", args: "evacuate esx02 --failover"},
	{file: "maintenance", args: "maintenance ON web web01"},
	{file: "maintenance_word", args: "maintenance maybe web"},
	{file: "policy_show", args: "policy show"},
	{file: "policy_show_group", args: "policy show web"},
	{file: "policy_show_json", args: "policy show web -o json"},
	{file: "policy_set_yes", args: "policy set web standard-vm /Y"},
	{file: "policy_set_batch", args: "policy set web standard-vm"},
	{file: "policy_set_asked", args: "policy set web", tty: true, stdin: "y\n"},
	{file: "policy_set_refused", args: "policy set web", tty: true, stdin: "\n"},
	{file: "policy_test", args: "policy test shop/db ESMDSVNT[0xC0000002] db01"},
	{file: "trap_test", args: "trap test 3003020101 --from 192.0.2.7"},
	{file: "trap_test_json", args: "trap test 3003020101 -o json"},
	{file: "policy_test_json", args: "policy test shop/db category:machine-inaccessible -o json"},
	{file: "asjob", args: "asjob"},
	{file: "asjob_steps", args: "asjob -s"},
	{file: "asjob_details", args: "asjob /d"},
	{file: "asjob_yaml", args: "asjob -o yaml"},
	{file: "ascancel", args: "ascancel"},
	{file: "ascancel_id", args: "ascancel 11"},
	{file: "changepassword", args: "changepassword user01 pvmuser1 pvmuser2"},
	{file: "apply", args: "apply -f -", stdin: "kind: group\nname: web\nspec: {priority: 3}\n"},
	{file: "apply_dry_json", args: "apply -f - --dry-run -o json", stdin: "kind: Group\nname: web\n"},
	{file: "apply_empty", args: "apply -f -", stdin: "# nothing\n---\n"},
	{file: "apply_nofile", args: "apply"},
	{file: "get_category", args: "get categories"},
	{file: "get_category_one", args: "get category shop/old"},
	{file: "get_category_json", args: "get category -o json"},
	{file: "get_group", args: "get group"},
	{file: "get_group_yaml", args: "get groups -o yaml"},
	{file: "get_group_one", args: "get GROUP web"},
	{file: "get_group_one_json", args: "get group web -o json"},
	{file: "get_group_one_yaml", args: "get group web -o yaml"},
	{file: "get_model", args: "get model"},
	{file: "get_model_json", args: "get model -o json"},
	{file: "get_host", args: "get hosts"},
	{file: "get_machine", args: "get machine --group shop"},
	{file: "get_machine_json", args: "get Machines -o json"},
	{file: "get_machine_yaml", args: "get machine -o yaml"},
	{file: "get_machine_one", args: "get machine ph01"},
	{file: "get_vlan", args: "get vlans"},
	{file: "get_loadbalancer", args: "get load-balancer"},
	{file: "get_subsystem", args: "get subsystem"},
	{file: "get_software", args: "get software"},
	{file: "get_policy", args: "get policies"},
	{file: "get_traprule", args: "get trap-rules"},
	{file: "get_receiver", args: "get receivers"},
	{file: "get_snmpuser", args: "get snmp-users"},
	{file: "receiver_test", args: "receiver test oncall"},
	{file: "receiver_test_json", args: "receiver test oncall -o json"},
	{file: "receiver_log", args: "receiver log"},
	{file: "receiver_log_json", args: "receiver log oncall --state lost -o json"},
	{file: "get_settings", args: "get settings"},
	{file: "get_unknown", args: "get socks"},
	{file: "unset", args: `unset model web\web-vm`},
	{file: "collect", args: "collect vc1"},
	{file: "job", args: "job"},
	{file: "job_list", args: "job list"},
	{file: "job_list_json", args: "job list -o json"},
	{file: "job_show", args: "job show 11"},
	{file: "job_show_json", args: "job show 11 -o json"},
	{file: "job_show_script", args: "job show 14"},
	{file: "job_show_script_json", args: "job show 14 -o json"},
	{file: "job_show_follow", args: "job show 14 --follow"},
	{file: "job_wait", args: "job wait 11"},
	{file: "job_cancel", args: "job cancel 12"},
	{file: "job_resume", args: "job resume 12 off"},
	{file: "job_rollback", args: "job rollback 12"},
	{file: "event_list", args: "event list"},
	{file: "event_list_json", args: "event list -o json"},
	{file: "event_show", args: "event show 42"},
	{file: "event_watch", args: "event watch", watch: true},
	{file: "event_watch_json", args: "event watch -o json", watch: true},
	{file: "lock_list", args: "lock list"},
	{file: "lock_list_json", args: "lock list -o json"},
	{file: "audit_list", args: "audit list"},
	{file: "audit_follow", args: "audit list --follow --timeout 2s"},
	{file: "audit_list_json", args: "audit list -o json"},
	{file: "perf_show", args: "perf show ph01"},
	{file: "perf_show_json", args: "perf show ph01 cpu --since 15m -o json"},
	{file: "perf_show_since", args: "perf show ph01 --since -1h"},
	{file: "placement_plan", args: "placement plan --group vmservers"},
	{file: "placement_plan_json", args: "placement plan --objective powersave -o json"},
	{file: "placement_plan_unknown", args: "placement plan --objective best"},
	{file: "placement_explain", args: "placement explain web01"},
	{file: "placement_explain_json", args: "placement explain web01 -o json"},
	{file: "placement_solve_nplus1", args: "placement solve testdata/cluster.problem --objective nplus1"},
	{file: "placement_solve_room", args: "placement solve testdata/cluster.problem --objective room web01"},
	{file: "placement_solve_bad", args: "placement solve -", stdin: "server a\nserver a capacity=x\n"},
	{file: "evacuate_dry", args: "evacuate esx02 --dry-run"},
	{file: "vmadd_dry", args: "vmadd web web13 --dry-run"},
	{file: "vmadd_dry_vms", args: "vmadd web web13 /VMS esx01 --dry-run"},
	{file: "arm", args: "arm --reason drill"},
	{file: "disarm", args: "disarm shop --reason drill"},
	{file: "disarm_reason", args: "disarm shop"},
	{file: "status", args: "status"},
	{file: "status_json", args: "status -o json"},
	{file: "node_list", args: "node list"},
	{file: "node_list_json", args: "node list -o json"},
	{file: "node_remove", args: "node remove node3"},
	{file: "node_transfer", args: "node transfer"},
	{file: "snapshot_save", args: "snapshot save -"},
	{file: "snapshot_restore", args: "snapshot restore -", stdin: "snapshot"},
	{file: "snapshot_restore_damaged", args: "snapshot restore -", stdin: "snap"},
	{file: "user_list", args: "user list"},
	{file: "user_list_json", args: "user list -o json"},
	{file: "user_set", args: "user set tanaka --role operator"},
	{file: "user_delete", args: "user delete tanaka"},
	{file: "logout_nobody", args: "logout"},
	{file: "completion_shell", args: "completion tcsh"},
	{file: "version", args: "version"},
	{file: "version_flag", args: "--version"},
	{file: "help", args: ""},
	{file: "help_add", args: "add /?"},
	{file: "help_deploysrv", args: "help deploysrv"},
	{file: "help_vmadd", args: "vmadd /?"},
	{file: "help_exit_codes", args: "help exit-codes"},
	{file: "login_nouser", args: "login"},
	{file: "unknown", args: "lits"},
	{file: "unknown_option", args: "poweron web /f"},
	{file: "unknown_flag", args: "get machine --fast"},
	{file: "bad_format", args: "node list -o xml"},
	{file: "bad_level", args: "node list --consistency best"},
}

func TestGolden(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	f.loadMixed()
	for _, g := range goldens {
		t.Run(g.file, func(t *testing.T) {
			c := consoleFor(t, f)
			c.stdin, c.tty = g.stdin, g.tty
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			a := c.app()
			if g.watch {
				a.stdout = io.MultiWriter(&c.stdout, &signalWriter{written: cancel})
			}
			code := a.run(ctx, strings.Fields(g.args))
			got := fmt.Sprintf("$ pvmutl %s\nexit code %d\n--- stdout\n%s--- stderr\n%s", g.args, code, c.stdout.String(), c.stderr.String())
			got = strings.ReplaceAll(got, f.address, "FAKE")
			compareGolden(t, g.file, got)
		})
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) && !extends(t, got, string(want)) {
		t.Errorf("output differs from %s (go test -update writes it anew):\n%s\nwant:\n%s", file, got, want)
	}
}

// extends tells whether got is JSON or YAML that says all that want says and
// more: new fields of a row break nobody's script.
func extends(t *testing.T, got, want string) bool {
	gotHead, gotBody, _ := strings.Cut(got, "--- stdout\n")
	wantHead, wantBody, _ := strings.Cut(want, "--- stdout\n")
	gotBody, gotTail, _ := strings.Cut(gotBody, "--- stderr\n")
	wantBody, wantTail, _ := strings.Cut(wantBody, "--- stderr\n")
	if gotHead != wantHead || gotTail != wantTail || !strings.Contains(gotHead, " -o ") {
		return false
	}
	var g, w any
	if err := yaml.Unmarshal([]byte(gotBody), &g); err != nil { // JSON is YAML
		t.Errorf("output is damaged: %v", err)
		return false
	}
	return yaml.Unmarshal([]byte(wantBody), &w) == nil && w != nil && contains(g, w)
}

// contains tells whether got has all fields of want with their values.
func contains(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for key := range w {
			value, has := g[key]
			ok = ok && has && contains(value, w[key])
		}
		return ok
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !contains(g[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}

// TestGoldenCoversAllCommands holds that a new command comes with a golden.
func TestGoldenCoversAllCommands(t *testing.T) {
	root := newRoot((&console{}).app())
	covered := map[string]bool{}
	for _, g := range goldens {
		if cmd, _, err := root.Find(strings.Fields(g.args)); err == nil {
			covered[cmd.CommandPath()] = true
		}
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			for _, sub := range cmd.Commands() {
				visit(sub)
			}
			return
		}
		if !covered[cmd.CommandPath()] && cmd.Runnable() {
			t.Errorf("%s has no golden", cmd.CommandPath())
		}
		if cmd.Runnable() && cmd.Example == "" {
			t.Errorf("%s has no example in its help", cmd.CommandPath())
		}
	}
	visit(root)
}
