// Package sendmail is what /usr/sbin/sendmail needs to know: the options that
// forty years of callers give it, the header and the recipients that RFC 5322
// puts there, the way of a message into the SMTP port of the relay, and
// ~/dead.letter for one that did not get there.
//
// # Promises
//
// A message is read to its end before the relay is called: cron keeps the pipe
// open for as long as its job runs. Up to 1 MiB of it stays in memory, more in
// an unlinked temporary file.
//
// Submit hands the message over to every recipient that the relay takes and
// tells which it does not; more than one transaction takes in turn serves. A
// recipient counts as reached only after the reply to the final dot.
//
// Bcc and Resent-Bcc never leave, with or without -t. No option and no field
// can add a line to the header or to the dialog: addresses pass
// package envelope, names lose their control characters.
//
// # Text
//
// Line ends become CRLF, whatever they were; so does a CR alone, which the
// progress bars in cron's mail have, while one in the header becomes a blank.
// NUL goes. The relay would refuse both. The header ends at the first line
// that is no field, as with sendmail, and the rest is text.
//
// The package reads no configuration and knows no policy. It follows RFC 5321,
// RFC 5322, RFC 6531 and sysexits.h; where callers rely on a program instead,
// it follows Postfix's sendmail(1).
package sendmail
