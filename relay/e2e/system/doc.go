// Package system installs the Debian package on a Debian that systemd has
// booted, and uses it as an administrator would. Its tests need root and run by
// make test-system; the machine they boot has no network but its own loopback.
// What judges a restart under load is held everywhere, against listeners that
// misbehave.
package system
