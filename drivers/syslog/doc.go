// Package syslog sends entries of the event log to a syslog server, in the form
// of RFC 5424: over UDP (RFC 5426), over TCP with octet counting (RFC 6587), or
// over TLS (RFC 5425).
//
// The entry's id, by which duplicates are recognised, stands with the other
// facts in the structured data element yagura@32473. 32473 is the enterprise
// number that RFC 5612 sets aside for those that have none of their own.
//
// UDP tells nothing of what arrives. Of TCP and TLS a message counts as
// delivered once the server has read to the end and closed its side too; a
// server that leaves its side open has taken it when nothing bad was heard for
// a moment.
package syslog
