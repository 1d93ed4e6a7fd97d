//go:build unsafe_sync

package sqlite

// The build that the power-cut test must see fail: without flushes it loses
// acknowledged mail, or the test does not test anything. Never shipped.
const (
	synchronous      = "OFF"
	synchronousLevel = 0
)
