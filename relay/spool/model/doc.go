// Package model checks the rules by which several nodes share one queue in a
// PostgreSQL database: the row of each process, lanes that change hands, attempts that
// a dead process may still be making, commits whose answer is lost, and a failover of
// the database. It is for tests, imports nothing of the product, and the product does
// not import it.
//
// A State is the database, its standby, the transactions under way, the memory of
// each node, and what Graph may still do. A step is one thing that somebody does:
// a node sends a transaction or begins a request; the database commits, crashes or is
// promoted; Graph accepts a message; time passes. A node that is paused does no step,
// so every pause of every length at every place is among the orders of steps. Check
// visits all states that can be reached, nearest first, and compares each with the
// promises. If one is broken, it returns the shortest way there.
//
// A transaction reads, where somebody may come in between; it writes and locks; it
// commits. One that would write what another transaction holds is not begun. In
// PostgreSQL it would wait, fail and begin again, and that is the same.
//
// Each Fault leaves one rule out. A rule without which every promise still holds is not
// needed, or the model does not see what it is for; so the tests want each fault to be
// found. They also want ordinary things to be possible: a model in which nothing happens
// keeps every promise.
//
// packaging/doc/reliability.md says what is covered, what is not, and how much was seen.
package model
