// Package trap receives SNMP notifications: decoding, mapping to events by
// rules that are data, a spool on disk, and the sink that ties them together
// and answers an inform when its event is committed, not before.
package trap
