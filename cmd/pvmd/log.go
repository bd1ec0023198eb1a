package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node"
)

// newLogCmd looks into a manager's Raft log without a cluster.
func newLogCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "look into a manager's Raft log (offline)"}
	var from uint64
	dump := &cobra.Command{
		Use:   "dump DIR",
		Short: "print the log entries of a stopped manager, one JSON object a line",
		Long: `Print the log entries of a stopped manager, one JSON object a line: index and
term, who changed what and why, and each row put or deleted. Passwords and
credentials are left out. DIR is the manager's data_dir.`,
		Example: "  pvmd log dump /var/lib/yagura | tail -n 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			return node.ReadLog(args[0], func(l *raft.Log) error {
				if l.Index < from {
					return nil
				}
				e, err := logEntry(l)
				if err != nil {
					return fmt.Errorf("entry %d: %w", l.Index, err)
				}
				return enc.Encode(e)
			})
		},
	}
	dump.Flags().Uint64Var(&from, "from", 0, "first log index to print")
	cmd.AddCommand(dump)
	return cmd
}

// dumpedEntry is a log entry as it is printed.
type dumpedEntry struct {
	Index   uint64          `json:"index"`
	Term    uint64          `json:"term"`
	Type    string          `json:"type"`
	Time    string          `json:"time,omitempty"`
	Base    uint64          `json:"base_index,omitempty"`
	Feature uint32          `json:"feature,omitempty"`
	Why     []dumpedWhy     `json:"why,omitempty"`
	Changes []dumpedChange  `json:"changes,omitempty"`
	Servers json.RawMessage `json:"servers,omitempty"`
}

type dumpedWhy struct {
	User    string `json:"user,omitempty"`
	From    string `json:"from,omitempty"`
	Node    string `json:"node,omitempty"`
	Op      string `json:"op"`
	Reason  string `json:"reason,omitempty"`
	Request string `json:"request,omitempty"`
}

type dumpedChange struct {
	Table   string          `json:"table"`
	Key     string          `json:"key"`
	Deleted bool            `json:"deleted,omitempty"`
	Row     json.RawMessage `json:"row,omitempty"`
}

func logEntry(l *raft.Log) (*dumpedEntry, error) {
	e := &dumpedEntry{Index: l.Index, Term: l.Term, Type: l.Type.String()}
	switch l.Type {
	case raft.LogConfiguration:
		servers, err := json.Marshal(raft.DecodeConfiguration(l.Data).Servers)
		e.Servers = servers
		return e, err
	case raft.LogCommand:
	default:
		return e, nil
	}
	b, err := fsm.DecodeBatch(l.Data)
	if err != nil {
		return nil, err
	}
	e.Time, e.Base, e.Feature = b.Time.AsTime().Format(time.RFC3339Nano), b.BaseIndex, b.Feature
	for _, w := range b.Why {
		e.Why = append(e.Why, dumpedWhy{User: w.User, From: w.From, Node: w.Node, Op: w.Op, Reason: w.Reason, Request: w.Request})
	}
	for _, c := range b.Changes {
		d, err := change(c)
		if err != nil {
			return nil, err
		}
		e.Changes = append(e.Changes, d)
	}
	return e, nil
}

func change(c *schema.Change) (dumpedChange, error) {
	d := dumpedChange{Table: fmt.Sprint(c.Table), Key: c.Key, Deleted: c.Delete}
	t := fsm.TableNumbered(c.Table)
	if t == nil {
		return d, nil
	}
	d.Table = t.Name()
	if c.Delete {
		return d, nil
	}
	var row proto.Message
	row, _, err := t.RowKey(c.Row)
	if err != nil {
		return d, err
	}
	d.Row, err = rowJSON(row)
	return d, err
}
