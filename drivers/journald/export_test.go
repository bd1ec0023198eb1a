package journald

// Entry is entry for tests.
var Entry = entry
