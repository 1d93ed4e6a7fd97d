// Package entra logs one identity in to Microsoft Entra and keeps its access
// token: with a client secret, a certificate, a managed or a workload identity
// (azidentity).
//
// What it promises:
//
//   - Tokens are fetched ahead of need and by one login at a time. A caller with
//     a valid token never waits for a login, and one without it never longer than
//     its context allows.
//   - A failed login ends in a LoginError, whose Answer says what that means for
//     a message and what to do. A credential file that cannot be read again is
//     logged, and the credential that worked is kept.
//   - Run loads what changes in the credential files. CredentialInfo.Expiry warns
//     when 30, 14, 7, 3 and 1 days are left until a credential expires.
//   - No secret and no token is shown in an Answer, an error or a log line. What
//     Entra says is bounded and shown with control characters escaped.
//   - Redirects are answers, not followed. Only the metadata service of an Azure
//     machine is asked in clear text, and never through a proxy.
//
// What the answers mean is in one table, catalogue.go. The package must not know
// what the token is used for, nor how Entra is reached: its Config brings a
// Route. It follows RFC 6749 for token errors and RFC 7292 and 8018 for files.
package entra
