package fsm

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Receivers are those who are told of the event log's entries or get the traps
// that managers receive, by name.
var Receivers = &Table[*schema.Receiver]{
	number: 23, name: "receiver", since: 2,
	key:   func(r *schema.Receiver) string { return r.Name },
	check: (*schema.Receiver).Validate,
}

// maxReceivers bounds the receivers: each entry of the event log becomes a
// notice for each of them.
const maxReceivers = 50

// normalReceiver fills in what a document leaves out. What has changed may be
// what was wrong: a message that waits for its next attempt is tried now.
func normalReceiver(tx *Tx, a *applying, spec map[string]any) error {
	r := a.row.(*schema.Receiver)
	if text, given := spec["password"].(string); given && text == "" {
		r.Password = nil
	}
	if r.Kind == schema.ReceiverSNMP {
		if old, ok := a.old.(*schema.Receiver); ok && old.GetsNotices() {
			return schema.Errorf(schema.KindConflict, "Receiver "+r.Name, "kind can't become snmp: notices of this receiver may wait").
				WithHint("take another name, or unset this one first")
		}
		if r.Version == "" {
			r.Version = schema.ForwardAsReceived
		}
		return nil
	}
	if r.Language == "" {
		r.Language = schema.LanguageEnglish
	}
	if r.Kind == schema.ReceiverJournald && r.Address == "" {
		r.Address = schema.JournalSocket
	}
	if r.Kind == schema.ReceiverMail && r.Tls == "" {
		r.Tls = schema.MailStartTLS
	}
	if r.MinSeverity == "" {
		r.MinSeverity = schema.SeverityInfo
		if r.Kind == schema.ReceiverMail || r.Kind == schema.ReceiverWebhook {
			r.MinSeverity = schema.SeverityWarning
		}
	}
	if _, given := spec["bundle_seconds"]; a.old == nil && !given && r.Kind == schema.ReceiverMail {
		r.BundleSeconds = schema.DefaultBundleSeconds
	}
	if r.Sending.GetAttempts() > 0 && !proto.Equal(a.old, r) {
		r.Next = timestamppb.New(tx.Now())
	}
	return nil
}

func checkReceiver(r Reader, row *schema.Receiver) error {
	if n := Receivers.Len(r); n > maxReceivers {
		return schema.Errorf(schema.KindTooLarge, "", "it would be receiver number %d, the limit is %d", n, maxReceivers).
			WithHint("one mail receiver can have several addresses")
	}
	for i, name := range row.Groups {
		if _, ok := Groups.Get(r, name); !ok {
			return noSuch(fmt.Sprintf("groups[%d]", i), "group", name)
		}
	}
	for i, path := range row.Categories {
		if _, ok := Categories.Get(r, path); !ok {
			return noSuch(fmt.Sprintf("categories[%d]", i), "category", path)
		}
	}
	return nil
}

// wants tells whether a receiver is to be told of an entry of this severity.
func wants(r Reader, to *schema.Receiver, e *schema.Event, severity string) bool {
	if to.Disabled || !to.GetsNotices() || !schema.AtLeast(severity, to.MinSeverity) {
		return false
	}
	if len(to.Groups)+len(to.Categories) == 0 || slices.Contains(to.Groups, e.Group) {
		return true
	}
	g, ok := Groups.Get(r, e.Group)
	return ok && slices.ContainsFunc(to.Categories, func(c string) bool { return below(g.Category, c) })
}

// receiversOf lists the receivers that name a group or a category.
func receiversOf(r Reader, group, category string) (users []string) {
	for to := range Receivers.All(r) {
		if group != "" && slices.Contains(to.Groups, group) || category != "" && slices.Contains(to.Categories, category) {
			users = append(users, "receiver "+to.Name)
		}
	}
	return users
}

var receiverKind = &docKind{
	name: "Receiver", missing: schema.KindNotFound, rows: rowsOf(Receivers), key: plainName("Receiver"),
	blank: func(key string) proto.Message { return &schema.Receiver{Name: key} },
	fields: []string{
		"kind", "description", "disabled", "address", "to", "from", "tls", "ca", "user", "password", "language", "min_severity", "groups", "categories", "bundle_seconds", "version",
	},
	refused: map[string]string{
		"name": isKey, "password_set": isOutput, "waiting": isRuntime("sending"), "sent": isRuntime("sending"), "lost": isRuntime("sending"), "failures": isRuntime("sending"),
		"last_success": isRuntime("sending"), "last_failure": isRuntime("sending"), "error": isRuntime("sending"), "next": isRuntime("sending"), "sending": isRuntime("sending"),
	},
	normal: func(tx *Tx, a *applying, spec map[string]any) error { return normalReceiver(tx, a, spec) },
	check:  func(tx *Tx, row proto.Message) error { return checkReceiver(tx, row.(*schema.Receiver)) },
}
