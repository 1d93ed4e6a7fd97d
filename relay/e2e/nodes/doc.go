// Package nodes has tests with several real relays on one PostgreSQL queue (build tag
// postgres): one works, the others stand by.
package nodes
