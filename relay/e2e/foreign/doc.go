// Package foreign fetches programs that other people wrote into a cache and
// runs them from there, so that tests can judge the relay by them without
// installing anything: several (Postfix, Exim, nullmailer) would conflict with
// one another and with the machine's own mail system.
//
// Debian packages come by "apt-get download" and are unpacked by "dpkg -x"
// with the libraries they need; npm packages come by the npm client. The cache
// is $GRAPHRELAY_CACHE, else .cache in the module's folder. It is shared by
// processes under a lock, and an entry is complete or absent.
//
// What cannot be fetched skips the test with a message that names it; with
// CI=true it fails the test.
package foreign
