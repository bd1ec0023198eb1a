// Package fake is one simulated world with every capability that package
// drivers names. It enforces the rules of the real thing (no VM starts on a
// dead VM server, no failover away from a live one), keeps a ledger of the
// effects that took place, and has knobs for what goes wrong outside: slow,
// failed before or after the effect, hung, host dead, manager unreachable.
//
// World is the outside: it survives any number of clients. A client from
// World.Hypervisor or World.Power is what one manager process holds; a test
// that kills a runner drops its client and opens another on the same World.
//
// Effects take place at once unless Delay or a Slow fault says otherwise. A
// delayed effect is a running task that ends by itself when the world's time
// reaches its due moment; time is real unless Options.Clock is set, and
// Advance moves it forward.
package fake
