//go:build !unsafe_sync

package sqlite

// SQLite flushes the WAL before each commit returns; every promise about power
// cuts relies on it, and checkModes checks it at each start.
const (
	synchronous      = "FULL"
	synchronousLevel = 2
)
