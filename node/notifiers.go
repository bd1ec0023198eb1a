package node

import (
	"context"
	"crypto/x509"
	"errors"

	"yagura/drivers"
	"yagura/drivers/journald"
	"yagura/drivers/mail"
	"yagura/drivers/syslog"
	"yagura/drivers/webhook"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler"
)

// notifiers are the senders to the receivers of the database. They keep no
// connections.
type notifiers struct {
	store   *fsm.Store
	ca      []byte // the cluster's own authority, PEM
	manager string // this one, as messages name their origin
}

// receivers is THE list of drivers of receivers, by kind.
var receivers = map[string]func(r *schema.Receiver, secret string, cas *x509.CertPool, manager string) (drivers.Notifier, error){
	schema.ReceiverMail: func(r *schema.Receiver, secret string, cas *x509.CertPool, _ string) (drivers.Notifier, error) {
		return mail.Open(mail.Config{Name: r.Name, Address: r.Address, TLS: r.Tls, CAs: cas, User: r.User, Password: secret, From: r.From, To: r.To})
	},
	schema.ReceiverSyslog: func(r *schema.Receiver, _ string, cas *x509.CertPool, manager string) (drivers.Notifier, error) {
		return syslog.Open(syslog.Config{Name: r.Name, Address: r.Address, CAs: cas, Host: manager})
	},
	schema.ReceiverJournald: func(r *schema.Receiver, _ string, _ *x509.CertPool, _ string) (drivers.Notifier, error) {
		return journald.Open(journald.Config{Name: r.Name, Socket: r.Address})
	},
	schema.ReceiverWebhook: func(r *schema.Receiver, secret string, cas *x509.CertPool, _ string) (drivers.Notifier, error) {
		return webhook.Open(webhook.Config{Name: r.Name, URL: r.Address, Key: secret, CAs: cas})
	},
}

// Notifier implements scheduler.Notifiers.
func (n notifiers) Notifier(_ context.Context, receiver string) (drivers.Notifier, error) {
	fail := func(kind drivers.Kind, err error) (drivers.Notifier, error) {
		return nil, &drivers.Error{Kind: kind, System: receiver, Op: "notify", Object: "receiver " + receiver, Err: err}
	}
	r, ok := fsm.Receivers.Get(n.store.View(), receiver)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("there is no such receiver"))
	}
	open := receivers[r.Kind]
	if open == nil {
		return fail(drivers.KindUnsupported, errors.New("this version has no driver for the kind "+r.Kind))
	}
	secret, err := n.store.Sealer().Open(r.Password)
	if err != nil {
		return fail(drivers.KindAuth, err)
	}
	cas, err := authorities(r.Ca, n.ca)
	if err != nil {
		return fail(drivers.KindAuth, err)
	}
	out, err := open(r, string(secret), cas, n.manager)
	if err != nil {
		return fail(drivers.KindUnsupported, err)
	}
	return out, nil
}

var _ scheduler.Notifiers = notifiers{}
