package verify

import (
	"net/http"
	"strings"

	"graphrelay/relay/outcome"
)

// Access is what an answer proves about a mailbox.
type Access int

// The kinds of access. Only the first two prove something.
const (
	Unclear Access = iota // no answer of Graph about the mailbox
	Open                  // the application may use the mailbox
	Closed                // Graph itself refused the application
	Missing               // there is no such mailbox, or none that Graph can reach
)

// policyBlock marks the refusal that access policies give, and that mailboxes
// of administrators give whatever the policy.
const policyBlock = "[RAOP]"

// Read says what the answer to a probe or a test mail proves. A refusal counts
// only with the code of Graph's own access check: the 403 of a proxy has none,
// and ErrorSendAsDenied comes after the mailbox was opened.
func Read(a outcome.Answer) Access {
	code := strings.ToLower(a.Code)
	switch {
	case a.HTTPStatus == http.StatusAccepted:
		return Open
	case a.HTTPStatus == http.StatusBadRequest && code == "errorinvalidrecipients":
		return Open
	case a.HTTPStatus == http.StatusForbidden && code == "errorsendasdenied":
		return Open
	case a.HTTPStatus == http.StatusForbidden && (code == "erroraccessdenied" || code == "accessdenied"):
		return Closed
	case a.HTTPStatus == http.StatusNotFound && code != "":
		return Missing
	}
	return Unclear
}

// ReadList says the same of the answer to a search of a mailbox.
func ReadList(a outcome.Answer) Access {
	if a.HTTPStatus == http.StatusOK {
		return Open
	}
	return Read(a)
}
