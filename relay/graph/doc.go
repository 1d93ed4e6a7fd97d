// Package graph sends mail through Microsoft Graph for one identity, that is,
// one app registration in one tenant, and says what became of each attempt.
//
// A Client logs in with a client secret, a certificate, a managed or a workload
// identity (azidentity) and posts the message as MIME to
// /users/{mailbox}/sendMail. The body is streamed as one line of standard
// base64, with its exact length, and never compressed.
//
// What is too large for that goes by Upload: a draft of its parts, made and
// filled by requests of its own, and then sent. Lookup searches a mailbox for a
// message whose fate is unknown.
//
// What it promises:
//
//   - Every attempt ends in one Answer, whatever the service, a proxy or the
//     network did; nothing is left to an SDK's error text, and nothing panics.
//   - Only 202 is Delivered. Unknown means that octets of the body may have
//     left and no answer settled it; everything else is certainly not sent.
//   - One call of Send is one attempt. Nothing is repeated here but what
//     certainly was not processed: a stale connection (net/http replays it
//     through GetBody), and a 401, once, with a new token. Redirects are
//     answers, not followed.
//   - No request leaves without a token, and the token only goes to the
//     configured Graph host over verified TLS 1.2 or later. Upload URLs, which
//     carry a secret of their own, get none, are never shown, and only lead to
//     Microsoft's upload hosts or the configured one.
//   - A proxy is used by CONNECT alone and sees no token. Only the metadata
//     service of an Azure machine is asked in clear text, and never through one.
//   - A draft of large mail that is given up is deleted, if need be by Run, for
//     about two hours; what stays is told in the log, and nothing sends it.
//   - Run takes over what changes in the credential files. CredentialInfo tells
//     when 30, 14, 7, 3 and 1 days are left until a credential expires.
//   - Tokens are fetched ahead of need and by one login at a time. A sender
//     with a valid token never waits for a login, and a sender without one
//     never longer than its context allows.
//   - No secret and no token stands in an Answer, an error or a log line. What
//     the service says is bounded and shown with control characters escaped.
//
// What the answers mean stands in one table, catalogue.go. The package knows
// no queue and no SMTP reply codes; what to do about an Answer is decided by
// its caller. It follows the documents of Microsoft Graph (user: sendMail,
// error responses, throttling), RFC 6749 for token errors, RFC 9110 for
// Retry-After and WWW-Authenticate, and RFC 3463 for enhanced status codes.
package graph
