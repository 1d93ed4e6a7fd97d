// Package config turns the one YAML file of graphrelay into a Config.
//
// # Promises
//
// A Config that exists is valid: every value was checked where it was decoded,
// every default is filled in, every path is absolute, and what must fit
// together fits. Load and Parse report all mistakes of a file at once, each
// with file, line, key, the offending text and what to write instead. Nothing
// is guessed: an unknown or repeated key, a key without a value, an alias, a
// tag or a second document is a mistake. The text of a mistake never holds the
// content of a secret file or a password in a URL.
//
// # What it does not do
//
// Parse opens no file. Load opens the YAML file alone; whether the files it
// names can be read, and ports be bound, is what Check looks at, for
// `graphrelay check`. The package knows no SMTP, no Graph and no queue.
//
// # Adding a key
//
// A key is a field with the struct tags of package strict; its sentence in the
// manual is in the table of packaging/doc/configuration.md, and a test demands
// it. A new type of value gets a Read method; what concerns one section goes into
// its Check method, what concerns several into rules.go, clients.go or
// listeners.go. Every mistake, made by strict.Bad or strict.Scope.Fail, needs a
// file testdata/invalid-RULE.yaml with its message in invalid-RULE.txt; a test
// reads the source and fails for a mistake without one.
package config
