// Package placement decides where virtual machines run.
//
// It is pure: a [Problem] (VM servers, VMs, rules, settings) and a [Request]
// (start this VM, evacuate that VM server, save power, ...) go in, a [Plan]
// comes out. Nothing is read from or written to anywhere, the same input and
// seed give the same plan, and a context's deadline only ends the search for
// something better earlier. It depends on the standard library only.
//
// The base is the capacity rule of the manual (1.3.5): each VM server has a
// capacity and each VM a cost, both arbitrary whole numbers, and no move,
// creation or start may make the cost of the powered-on VMs of a VM server
// exceed its capacity. Further dimensions (memory, CPU, measured load) are
// named by the problem. Among VM servers that could take a VM the one with the
// least free capacity is preferred (1.3.7), so that VMs gather on few servers.
//
// A plan is a list of moves in the order in which they can be carried out.
// While they are, at no moment is a capacity or a rule broken that was kept
// before: moves of one wave may run side by side, since a VM that moves counts
// on both its servers until its wave ends. Every VM that stays unplaced and
// every server that is not chosen carries a [Rejection], which names the rule
// that said no and prints as a sentence.
//
// For one question on one problem call [Solve]. For many questions on a large
// problem [Compile] it once and call [Cluster.Solve]; follow changes with
// [Cluster.SetVM], [Cluster.RemoveVM], [Cluster.SetServer] and [Cluster.Apply].
// [Cluster.ExplainVM] and [Cluster.ExplainServer] say why things are as they
// are, [Picture] draws a plan, [Verify] checks one.
//
// Problems are text too: [Parse] and [Print] read and write a line format, so
// that a bug report is a file; [ParseGaneti] reads Ganeti's htools files.
package placement
