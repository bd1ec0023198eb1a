// Package drivertest holds one conformance suite for each capability of
// package drivers. A driver's test runs the suite of every capability it
// implements, against the real system's nearest counterpart; drivers/fake
// runs all of them, so what the scheduler is tested on behaves like the real thing.
//
// A suite asks each driver for a fresh world a subtest. It finds the objects
// that it needs in that world and assumes no names.
package drivertest
