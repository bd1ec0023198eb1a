// Package haproxy drives the backends of an HAProxy through its runtime API,
// the "stats socket" with level admin (HAProxy management guide, 9.3). It needs
// HAProxy 2.5 or newer, which add and delete servers at run time, and a backend
// whose balance algorithm is dynamic (roundrobin, leastconn, first, random).
//
// A node is added in HAProxy's own way: registered in maintenance, its health
// check enabled if it has one, then made ready. The driver gives it an id of a
// range of its own, so that every manager can tell it from a server of the
// configuration file: the former is deleted when it leaves, the latter is only
// set to maintenance, since it would come back with the next reload anyway.
//
// What is changed at run time is lost when HAProxy restarts or reloads: servers
// of the configuration file are ready again and added ones are gone. The calls
// converge, so a node that was lost is there again after the next one that asks for it.
package haproxy
