// Package interop drives the real relay by mail programs that other people
// wrote, and compares what arrived at the double with what each of them really
// said on the wire. Its tests have the build tag interop.
package interop
