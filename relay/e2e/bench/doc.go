// Package bench measures the real relay beside Postfix on the same machine and
// disk, and prints a table for the README. Its test has the build tag bench;
// -short or BENCH_SHORT=1 takes less than three minutes and says less.
package bench
