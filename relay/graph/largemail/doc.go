// Package largemail sends a message that is too large for one request: as a
// draft of its parts in the mailbox, its large files by upload sessions, and then
// send.
//
// What it promises:
//
//   - One call of Upload is one attempt and ends in one Answer. Before the request
//     that sends the draft nothing can have been sent, so only a lost answer to
//     that one is Unknown.
//   - Every byte of a file arrives once and in order: where the service counts
//     otherwise, its session is given up.
//   - Upload URLs carry a secret of their own: they get no token, are never shown,
//     and only lead to Microsoft's upload hosts or the configured one.
//   - A draft that is given up is deleted, if need be by Run, for about two hours;
//     what stays is logged, and nothing sends it.
//
// Every request goes through graph.Client, and so does the meaning of its answers.
// The package must not know MIME, the queue or SMTP. It follows the documents of
// Microsoft Graph (message, attachment: createUploadSession, message: send).
package largemail
