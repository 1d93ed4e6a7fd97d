package sendmail

import (
	"errors"
	"fmt"
	"testing"
)

func TestExitCode(t *testing.T) {
	reply := func(command string, code int, enhanced string) error {
		return fmt.Errorf("wrapped: %w", &Reply{command, code, enhanced, "x"})
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{UsageError("x"), 64},
		{ErrHeaderTooLarge, 65},
		{reply("DATA", 550, "5.6.0"), 65},
		{reply("MAIL", 553, "5.1.7"), 65},
		{reply("MAIL", 550, "5.6.7"), 65},
		{BadAddress("x"), 67},
		{reply("RCPT", 550, "5.1.1"), 67},
		{reply("RCPT", 501, "5.5.4"), 67},
		{reply("RCPT", 550, ""), 67},
		{reply("DATA", 550, "5.1.1"), 67},
		{ErrTooLarge, 69},
		{reply("DATA", 552, "5.3.4"), 69},
		{reply("connect", 554, ""), 69},
		{reply("MAIL", 550, ""), 69},
		{reply("DATA", 452, "4.3.1"), 75},
		{reply("connect", 421, "4.7.0"), 75},
		{reply("RCPT", 200, ""), 75}, // neither yes nor no
		{errors.New("broken pipe"), 75},
		{reply("connect", 554, "5.7.1"), 77},
		{reply("RCPT", 550, "5.7.1"), 77},
		{reply("MAIL", 530, "5.7.0"), 77},
		{&Undelivered{[]Failure{{Err: reply("RCPT", 451, "4.3.0")}, {Err: reply("RCPT", 550, "5.1.1")}}}, 67},
		{&Undelivered{[]Failure{{Err: errors.New("EOF")}}}, 75},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("ExitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}
