//go:build unsafe_sync

package sqlite

// The build with which the power-cut test must fail: without flushes it loses
// acknowledged mail, or the test proves nothing. Never shipped.
const (
	synchronous      = "OFF"
	synchronousLevel = 0
)
