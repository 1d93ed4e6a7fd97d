// Package harness drives the real graphrelay binary from tests: it builds it,
// runs it with an inline configuration on free loopback ports against a double
// of Entra and Graph, speaks raw SMTP to it, records what other clients say to
// it, and compares what arrived with what was sent.
//
// Everything it starts ends with the test, or with the test's process should
// that die. It waits for facts (a port answers, a queue is empty) with a limit,
// and never for a time to pass.
//
// Of the relay's own packages it uses none: what it believes of mail it works
// out itself. The double (relay/sandbox) runs inside the test's process.
package harness
