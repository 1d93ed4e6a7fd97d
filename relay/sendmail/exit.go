package sendmail

import (
	"errors"
	"strings"

	"graphrelay/relay/reply"
)

// Exit codes of sysexits.h.
const (
	ExitUsage       = 64 // the command line, or no recipient
	ExitData        = 65 // the message or its sender
	ExitNoUser      = 67 // a recipient
	ExitUnavailable = 69 // refused for another reason
	ExitTemporary   = 75 // the same may work later
	ExitNoPerm      = 77 // not allowed (5.7.x)
	ExitConfig      = 78 // sendmail.conf or $GRAPHRELAY_SUBMIT
)

// ExitCode returns the exit code of an error; 0 for nil. What is not known to be
// permanent is temporary: a caller that retries loses nothing.
func ExitCode(err error) int {
	var usage UsageError
	var refused *Reply
	var bad BadAddress
	var some *Undelivered
	var odd *reply.Error // of package message
	switch {
	case err == nil:
		return 0
	case errors.As(err, &some):
		return some.exitCode()
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, ErrHeaderTooLarge), errors.As(err, &odd):
		return ExitData
	case errors.Is(err, ErrTooLarge):
		return ExitUnavailable
	case errors.As(err, &bad):
		return ExitNoUser
	case errors.As(err, &refused):
		return refused.exitCode()
	}
	return ExitTemporary
}

func (r *Reply) exitCode() int {
	switch e := r.Enhanced; {
	case r.Code < 500:
		return ExitTemporary
	case strings.HasPrefix(e, "5.7."):
		return ExitNoPerm
	case strings.HasPrefix(e, "5.6."), r.Command == "MAIL" && strings.HasPrefix(e, "5.1."):
		return ExitData
	case strings.HasPrefix(e, "5.1."), r.Command == "RCPT":
		return ExitNoUser
	}
	return ExitUnavailable
}

// exitCode is that of the first permanent failure, so that a caller that retries
// temporary ones does not do so forever; otherwise 75.
func (u *Undelivered) exitCode() int {
	for _, f := range u.Failed {
		if c := ExitCode(f.Err); c != ExitTemporary {
			return c
		}
	}
	return ExitTemporary
}
