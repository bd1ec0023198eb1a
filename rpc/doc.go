// Package rpc is the edge of the API: the gRPC services of rpc/api and the
// JSON gateway over the same methods, authentication and roles, the one
// interceptor that forwards calls to the leader, and the read levels.
//
// A call takes this way: the edge (the manager that the caller reached) makes
// out who calls; a call that the leader has to answer is forwarded there, one
// hop, over mutual TLS; the manager that answers checks the caller's role and
// runs the method over the store. Services read rows and run verbs of package
// fsm; they never call the scheduler.
//
// Clients written in Go use rpc/client. DESIGN.md says why it is built so.
package rpc
