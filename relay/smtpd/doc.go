// Package smtpd is the SMTP server: it listens, keeps connections within
// limits, speaks the protocol and hands each transaction to a Handler. It
// knows no policy, no queue and no configuration file.
//
// # What it promises
//
// A message reaches io.EOF in Transaction.Data only when the client ended it:
// by CRLF.CRLF, or by all octets of the chunk of BDAT LAST. Whatever else
// happens (a closed connection, a timeout, too many octets, another command
// between chunks, a stop) is an error there, and the message is not accepted.
// A reply of 250 to a message is given only after Data returned nil.
//
// No octet of a message is ever read as a command: not after a timeout, not
// after a refusal in the middle, not when a chunk was refused, not behind bare
// LF, CR or NUL. Where the end of a message cannot be known, the connection
// ends. Each command gets exactly one reply; the last one may be a 421 in
// place of, or unasked behind, the reply.
//
// A panic in the Handler is logged, answered 421, and ends that connection
// alone. Memory per connection is bounded whatever the client sends: lines of
// a message may have any length, command lines 2,046 octets.
//
// # How it is built
//
// emersion/go-smtp reads the commands, keeps their order, parses paths and
// parameters and words most replies. It sits above our own net.Conn, the type
// conn, which feeds it one checked command line at a time:
//
//	socket - [TLS] - conn - go-smtp - session (the same conn) - Handler
//
// Because conn sees whole commands in plain text and every reply, it can do
// what go-smtp gets wrong and no wrapper below it could mend: it frames the
// bodies of DATA and of BDAT (a BDAT is DATA to the library, so a message is
// always read in the connection's own goroutine), keeps rolling deadlines under
// a cap for the transaction, and gathers the replies to pipelined commands into
// one write. TLS, when it comes, goes between socket and conn, and conn
// answers STARTTLS itself: then a close_notify in the middle of a chunk is
// an end like any other, no message.
//
// The standards are RFC 5321 (SMTP), 1870 (SIZE), 2034 and 3463 (enhanced
// codes), 2920 (PIPELINING), 3030 (CHUNKING, without BINARYMIME), 6152
// (8BITMIME), 6531 (SMTPUTF8) and 9422 (LIMITS).
//
// # Limits
//
// Between two accepted messages a client may make 10 errors of syntax or
// sequence and give 100 commands besides RCPT, DATA and BDAT. An over-long
// command line is skipped up to 64 KiB. A refused message is read to its end
// up to 64 MiB or four times the largest message, so that the client sees the
// refusal; behind that the connection is cut.
//
// # Known limits
//
//   - A client that sends DATA and the message in one go, without waiting for
//     354, and gets DATA refused, has its message read as commands, as with
//     every SMTP server: nothing tells the two apart. Ten errors end it.
//   - A line start is what follows CRLF. In a message with bare LF line ends a
//     dot that the client doubled behind a bare LF stays doubled.
//   - A unix socket has no addresses, so MaxConnectionsPerAddr does not count
//     there.
//   - BINARYMIME and DSN (RFC 3461) are not offered: Graph can honour neither.
package smtpd
