// Package e2e tests the whole program: its tests build the real binary, run it
// against a double of Entra and Graph, and look only from outside.
//
// The tests of this folder need nothing but Go and belong to "make test". The
// folders below it need more and have build tags: interop (programs of other
// people as clients), torture (crashes, power cuts, full disks; root), bench
// (figures beside Postfix), browser (the console in Chromium), system (the package
// on a booted Debian; root). harness and foreign are what they share.
package e2e
