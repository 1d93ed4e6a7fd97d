// Package reply holds the one error type that travels from the inner
// packages of graphrelay to the SMTP client and to the log.
//
// An Error has three audiences. The client reads Code, Enhanced and Text, and
// learns nothing about files, hosts or causes. The operator reads Cause, which
// ends with what to do. A program reads Code and Enhanced.
//
// Codes follow RFC 5321 section 4.2, enhanced codes RFC 3463. An error that
// nobody classified is temporary (451 4.3.0): a client that tries again loses
// nothing, one that is told 5xx throws its mail away.
package reply

import (
	"errors"
	"fmt"
)

// Enhanced is an enhanced mail system status code of RFC 3463, such as 5.7.1.
type Enhanced [3]int

// String formats the code with dots, "5.7.1".
func (e Enhanced) String() string { return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2]) }

// Text is String, and "" for the zero code: where there is none to show.
func (e Enhanced) Text() string {
	if e[0] == 0 {
		return ""
	}
	return e.String()
}

// Error is a refusal or a failure with a reply for the SMTP client.
type Error struct {
	Code     int      // SMTP reply code, 400-599
	Enhanced Enhanced // its first digit equals the first digit of Code
	Text     string   // for the client: ASCII, one line, reveals nothing
	Cause    error    // for the log; may be nil
}

// New makes an Error without a cause. Text is for the client.
func New(code int, enhanced Enhanced, text string) *Error {
	return &Error{Code: code, Enhanced: enhanced, Text: text}
}

// Because returns a copy of e that carries cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Becausef is Because with a formatted cause; %w works.
func (e *Error) Becausef(format string, args ...any) *Error {
	return e.Because(fmt.Errorf(format, args...))
}

// Error gives the whole story, for the log only.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Text)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Temporary tells whether the client may try the same again later (4xx).
func (e *Error) Temporary() bool { return e.Code < 500 }

// Of finds the Error in err's chain. An unclassified error becomes 451 4.3.0
// with err as its cause; nil stays nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(451, Enhanced{4, 3, 0}, "Local error in processing, try again later").Because(err)
}
