// Package bench measures the real relay beside Postfix on the same machine and
// disk, and prints a table for the README. Its test has the build tag bench;
// -short takes less than three minutes and says less.
package bench
