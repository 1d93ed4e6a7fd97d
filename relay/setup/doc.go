// Package setup writes the commented scripts by which an administrator gives the
// relay its rights in a tenant and keeps them narrow: they register the
// application, restrict it to the configured mailboxes and only then let it send.
//
// It is pure: it reads no file, uses no network and knows no clock but the one
// it is given. The same plan gives the same script.
//
// What it promises of a script:
//
//   - At no moment can the application send as anybody: the restriction
//     comes first, then the wait until it has reached Graph, the tests, and the
//     consent last; the undo script runs in the opposite order.
//   - It can be run again, also after a failure half-way: every step checks
//     whether it was done before.
//   - No value can break out of its quotes. Names that cannot be written at all
//     (control characters) are refused before anything is printed.
//   - Cmdlets and parameters are those of Microsoft's documentation; a test
//     checks every script against the list.
//
// Two routes are known. RBAC for Applications (MethodRBAC) grants a role in
// Exchange with a scope, and nothing in Entra; the grants of both add up, so a
// consent left in Entra undoes it. An application access policy (MethodPolicy)
// is the older one: it takes away from an organisation-wide consent. Exchange
// has no cmdlets outside PowerShell, so the script for the shell drives the az
// command for Entra and pwsh for Exchange.
package setup
