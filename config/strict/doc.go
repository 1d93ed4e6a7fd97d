// Package strict decodes a YAML file into structs and accepts nothing that it
// does not know.
//
// # Promises
//
// Every mistake of a file is reported at once, each with line, key, the
// offending text and what to write instead. Nothing is guessed: an unknown or
// repeated key, a key without a value, an alias, a tag or a second document is
// a mistake. A report has at most 100 mistakes, and no control characters,
// passwords of URLs or values of Hidden types. The work and the memory for a
// file are bounded, whatever it holds.
//
// # Keys
//
// A key is a field of a struct with tags. yaml is its name; default is YAML text
// that is decoded like text from the file; unset is for the manual where no
// constant is the default; required makes its absence a mistake; range is
// enforced ("1..64" or "trim | reject") and printed. A value is a Scalar, a
// bool, an int or a string; everything else is a section, a list or a map. A
// section with rules of its own is a Checker, and one that a single word can
// replace is a Shorthand.
//
// # What it does not know
//
// What the keys mean, and the files that they name.
package strict
