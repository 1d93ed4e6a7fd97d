// Package bounce reads what comes back: non-delivery reports (NDRs) and other delivery
// status notifications (RFC 3464), and finds out which message they are about.
//
// Promises:
//
//   - A report is recognised by its structure, never by words of a language.
//   - Whatever the bytes, memory is bounded and work grows with their number alone.
//   - What a report says is shown, and believed no further: it names recipients, and
//     nothing follows for those that its message does not have.
//
// The package is pure: it knows no clock, no queue, no mailbox and no network.
package bounce
