package main

import (
	"fmt"
	"reflect"
	"strings"

	"yagura/node"
)

// keyTexts say what each key of the configuration file means: the help texts of
// the flags, to which the default is added. A test holds that none is missing.
var keyTexts = map[string]string{
	"node_id":          "name of this manager, for ever (default: the name in its certificate)",
	"data_dir":         "directory of log, snapshots and spool; for one manager only",
	"bind":             "IP address to listen on",
	"advertise":        "IP address under which managers and clients reach this one (default: bind)",
	"api_port":         "TCP port of the gRPC API",
	"http_port":        "TCP port of the JSON API, metrics and health",
	"raft_port":        "TCP port of Raft",
	"gossip_port":      "TCP and UDP port of gossip",
	"join":             "managers to join, HOST or HOST:PORT of gossip, separated by commas",
	"bootstrap_expect": "managers that make a new cluster together: 1, 3 or 5; 0: only join",
	"leave_on_stop":    "leave the cluster when stopped in good order: true or false",
	"cluster_key_file": "file with the 32-byte key that credentials are sealed with, hex or base64; the same on all managers",
	"gossip_key_file":  "file with the 16, 24 or 32-byte key of gossip, hex or base64; the same on all managers",
	"log_level":        "debug, info, warn or error",

	"tls.ca":   "authority that signed the certificates of managers and users, PEM file",
	"tls.cert": "certificate of this manager, PEM file",
	"tls.key":  "key of this manager's certificate, PEM file",

	"raft.heartbeat_timeout":  "silence after which a leader is held for lost",
	"raft.election_timeout":   "time for an election",
	"raft.leader_lease":       "time after which a leader without quorum steps down",
	"raft.log":                "log store, wal or bolt; fixed once there are data",
	"raft.snapshot_interval":  "how often is looked whether a snapshot is due",
	"raft.snapshot_threshold": "log entries after which a snapshot is taken",
	"raft.trailing_logs":      "log entries kept behind a snapshot",

	"admin.user":          "first administrator of a new cluster",
	"admin.password_file": "file with the first administrator's password in its first line",

	"snmp.bind":        "IP address to receive notifications on (default: bind)",
	"snmp.port":        "UDP port to receive notifications on; 0: none",
	"snmp.communities": "communities that v1 and v2c notifications may carry, separated by commas (default: any)",
	"snmp.rate":        "notifications of one sender a second; more are dropped and counted",
	"snmp.burst":       "notifications of one sender at once",
	"snmp.total_rate":  "notifications of all senders a second; more are dropped and counted (default 0: no limit)",
	"snmp.spool_bytes": "bytes kept on disk until the leader has recorded them",
}

// keyHelp is the help text of a key's flag.
func keyHelp(key string) string {
	v := reflect.ValueOf(node.DefaultConfig())
	for tag := range strings.SplitSeq(key, ".") {
		for f := range fields(v.Type()) {
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name == tag {
				v = v.FieldByIndex(f.Index)
				break
			}
		}
	}
	text := keyTexts[key]
	if !v.IsZero() {
		text += fmt.Sprintf(" (default %v)", v.Interface())
	}
	return text
}
