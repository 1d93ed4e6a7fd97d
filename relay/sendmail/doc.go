// Package sendmail does the work of /usr/sbin/sendmail: it reads the options that
// callers have used for forty years, the header and the recipients in it, submits
// the message to the SMTP port of the relay, and keeps it in ~/dead.letter if that
// fails.
//
// # Promises
//
// A message is read to its end before the relay is called: cron keeps the pipe
// open for as long as its job runs. Up to 1 MiB of it stays in memory, more in
// an unlinked temporary file.
//
// Submit submits the message for every recipient that the relay accepts and
// returns those that it does not, with more than one transaction if needed. A
// recipient counts as reached only after the reply to the final dot.
//
// Bcc and Resent-Bcc never leave, with or without -t. No option and no field
// can add a line to the header or to the dialog: addresses pass
// package envelope, names lose their control characters.
//
// # Text
//
// Package message reads the message, as it does in the relay: the same line ends,
// stray CRs, NULs and odd header lines are mended, and the same refused, before a
// connection is made.
//
// The package reads no configuration and knows no policy. It follows RFC 5321,
// RFC 5322, RFC 6531 and sysexits.h; where callers rely on a program instead,
// it follows Postfix's sendmail(1).
package sendmail
