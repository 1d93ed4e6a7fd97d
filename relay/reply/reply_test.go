package reply

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOfFindsTheErrorThroughWraps(t *testing.T) {
	full := New(452, Enhanced{4, 3, 1}, "Insufficient system storage")
	got := Of(fmt.Errorf("spool: %w", full))
	if got != full {
		t.Fatalf("Of(wrapped) = %v, want the wrapped error itself", got)
	}
	if !got.Temporary() {
		t.Error("452 must be temporary")
	}
}

// A refusal that was meant to be temporary must never reach the client as
// permanent because somebody wrapped it, and nothing unclassified may be 5xx.
func TestOfMakesTheUnknownTemporaryAndSilent(t *testing.T) {
	got := Of(errors.New("open /var/lib/secret: permission denied"))
	if got.Code != 451 || !got.Temporary() {
		t.Fatalf("Of(unknown) = %v, want 451", got)
	}
	if strings.Contains(got.Text, "secret") {
		t.Errorf("client text %q reveals the cause", got.Text)
	}
	if !strings.Contains(got.Error(), "permission denied") {
		t.Errorf("log text %q lost the cause", got.Error())
	}
	if Of(nil) != nil {
		t.Error("Of(nil) must be nil")
	}
}

func TestBecauseLeavesTheOriginalAlone(t *testing.T) {
	base := New(550, Enhanced{5, 7, 1}, "Sender not allowed")
	with := base.Becausef("header From %s", "x@example.org")
	if base.Cause != nil {
		t.Error("Because changed its receiver")
	}
	if with.Enhanced.String() != "5.7.1" || errors.Unwrap(with) == nil {
		t.Errorf("copy = %v", with)
	}
}
