// Package strict decodes a YAML file into structs and accepts nothing that it
// does not know. It does not know what the keys mean, or the files they name.
//
// All mistakes of a file are reported at once, each with line, key, the offending
// text and what to write instead. Nothing is guessed: an unknown or repeated key,
// a key without a value, an alias, a tag or a second document is a mistake. A
// report has at most 100 mistakes, and no control characters, passwords of URLs
// or Hidden values. Work and memory are bounded, whatever the file holds.
//
// A key is a field of a struct with tags. yaml is its name; default is YAML text,
// decoded like the file's; unset is for the manual where no constant is the
// default; required makes its absence a mistake; range is enforced ("1..64" or
// "trim | reject") and printed. A value is a Scalar, a bool, an int or a string;
// all else is a section, a list or a map. A section with rules of its own is a
// Checker, and one that a single word can replace is a Shorthand.
package strict
