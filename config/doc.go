// Package config turns the one YAML file of graphrelay into a Config.
//
// # Promises
//
// A Config that exists is valid: every value was checked where it was decoded,
// every default is filled in, every path is absolute, and what must fit
// together fits. Load and Parse report all mistakes of a file at once, each
// with file, line, key, the offending text and what to write instead. Nothing
// is guessed: an unknown or repeated key, a key without a value, an alias, a
// tag or a second document is a mistake. Text of a mistake never holds the
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
// A key is a field with struct tags. yaml is its name; default is YAML text
// that is decoded like text from the file; unset tells the manual what happens
// without the key where no constant can say it; required makes its absence a
// mistake; range is enforced ("1..64", "trim | reject", or "address | *@domain"
// where an address may be more than one address) and printed; doc is the
// manual's sentence. A list or section that one word can stand for is a shorthand, and a
// value that must never be repeated is hidden. A new type of value gets a read
// method (see scalar); what concerns one section goes into its check method,
// what concerns several into rules.go, clients.go or listeners.go. Every mistake
// is made by bad, and needs a file testdata/invalid-RULE.yaml with its message
// in invalid-RULE.txt; a test
// reads this source and fails for a mistake without one.
package config
