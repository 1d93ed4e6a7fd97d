// Package envelope holds the words of a mail transaction: addresses, the
// envelope itself, the client that speaks, and the queue ID.
//
// An Address that exists is valid: the only way to get one is to parse it by
// the strict rules of RFC 5321 section 4.1.2 (RFC 6531 for non-ASCII), with no
// control characters, and with its domain in canonical form (lower-case
// A-labels, RFC 5891). Every other package trusts this and parses nothing
// again. The package does no I/O and knows no SMTP replies.
package envelope
