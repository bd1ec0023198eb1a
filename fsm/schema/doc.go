// Package schema holds the rows of the configuration database as protocol
// buffers (package yagura.v1), the values of their string fields, and what can
// be said about a row by itself: rules of names, Validate, the state that a
// machine is in, and the kinds of errors. One schema serves rows, log,
// snapshot, API and JSON. It is a leaf: it imports nothing of the project, and
// its methods are pure.
//
// JSON is protojson with the names of the .proto files; enumerations are
// strings, so that scripts see words. Numbers of fields are only ever appended.
package schema
