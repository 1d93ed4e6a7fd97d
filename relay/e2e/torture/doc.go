// Package torture breaks things around the real relay and compares what became
// of the mail with a ledger kept outside: kill -9, power cuts, failing fsyncs,
// full disks. Its tests have the build tag torture; those that mount need root.
//
// Most tests wait for the minute that a message rests after an interrupted
// attempt, and so run at the same time (go test -parallel); those under strace
// run alone, before.
//
// One hostile client does all that it is allowed, beside another one that just sends.
//
// TORTURE_ROUNDS and POWER_ROUNDS say how many rounds the two long tests go, and
// HOSTILE_SECONDS how long the hostile client attacks; -short makes them few.
package torture
