// Package verify proves on the live service that an identity may send as the
// mailboxes it was given and as no others, once on request (Verifier) and again
// and again while the relay runs (Auditor). It also tests from this host whether
// Entra and Graph can be reached and what they answer (Reach, Examine).
//
// What a script or a test cmdlet says is intention; what counts is Graph's
// answer. A mailbox that must be refused, ordinary and licensed, is tried with a
// probe: a message without any recipient. Graph refuses it either way, so
// nobody is impersonated and nothing is sent: 403 means that the application
// may not use the mailbox, 400 that only a recipient was missing.
//
// What it promises:
//
//   - RESTRICTED is only said where every denied mailbox was refused by Graph
//     itself, with 403, and every allowed one sent a mail. A 404, a proxy's
//     page, a lost connection, an expired secret prove nothing: UNPROVEN.
//   - One mailbox more than allowed makes it NOT RESTRICTED, whatever else.
//   - Test mails say what they are and go to one address, the one given.
//     The auditor sends nothing to anybody.
//   - Each round of a Verifier logs in again, for a token keeps the consents
//     under which it was issued.
//
// What an answer proves is decided by pure functions (Read, Judge). The package
// knows Graph's answers; it must not know the configuration or SMTP.
package verify
