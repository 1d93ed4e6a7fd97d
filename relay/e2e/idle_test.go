package e2e_test

import (
	"testing"

	"graphrelay/relay/e2e/harness"
)

// A thousand connections that have said EHLO and wait cost less than 80 MB in
// all, the program itself included.
func TestIdleConnectionsCostLittle(t *testing.T) {
	const connections, limit = 1000, 80 << 10
	r, _ := start(t, harness.With("smtp", "max_connections: 1100"))
	for range connections {
		harness.Hello(t, r.Addr)
	}
	used := r.Memory("VmRSS")
	t.Logf("%d connections: %d KiB", connections, used)
	if used > limit {
		t.Errorf("%d idle connections make the relay use %d KiB, limit %d", connections, used, limit)
	}
}
