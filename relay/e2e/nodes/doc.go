// Package nodes has tests with several real relays that work on one PostgreSQL queue (build
// tag postgres), and of what packaging/doc/two-machines.md puts in front of them.
package nodes
