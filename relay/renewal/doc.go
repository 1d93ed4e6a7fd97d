// Package renewal lets an identity's certificate renew itself: it makes the next key
// pair before the end, adds it to the app by Graph's addKey, tries it, puts it into
// the certificate file, and removes the one before by removeKey.
//
// # Promises
//
//   - Mail never stops for a renewal. A certificate comes into force only after 12
//     logins in a row with it, five minutes apart, each with a client of its own; the
//     old one goes back if the new one is refused before mail was sent with it.
//   - Nothing that any doubt falls on is removed. A certificate is removed from the
//     app only after another one has logged in and sent mail and the app's restriction
//     was verified, and only when it has expired, because another relay may hold a
//     copy of it. One that never came into force need not have expired. Certificates
//     that neither the file nor this relay ever held are left alone.
//   - Every step is durable before the next one begins and may be repeated: kill the
//     program where you like. The certificate file is replaced by a rename and keeps
//     owner and mode.
//   - Two programs with one file do not disturb each other: the folder is locked.
//
// # On failure
//
// What is in force stays. The step is tried again, and Note says what failed and
// since when, for the alarm.
//
// # What it must not know
//
// The queue, SMTP and the configuration. What it needs of Entra, Graph and the
// running service it is given as Tenant and Service. Next and Note.After decide and
// are pure; Roller does and decides nothing.
package renewal
