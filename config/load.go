package config

import (
	"io"
	"os"
	"path/filepath"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// The types of package strict that callers of this one need.
type (
	Problem = strict.Problem
	Errors  = strict.Errors
)

// Load reads the file at path. Relative paths in it are resolved from its
// folder. The error is Errors.
func Load(path string) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	f, err := os.Open(abs)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, strict.MaxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, data, filepath.Dir(abs))
}

func unreadable(path string, err error) Errors {
	if inner, ok := err.(*os.PathError); ok {
		err = inner.Err
	}
	return Errors{{
		File: path, Wrong: "cannot be read: " + err.Error(),
		Remedy: "name a configuration file with -c FILE, and make sure that this user can read it",
	}}
}

// Parse decodes the content of a file; name is for messages, and relative
// paths are resolved from baseDir. The error is Errors, each with a line from 1.
func Parse(name string, data []byte, baseDir string) (*Config, error) {
	c := &Config{}
	places, err := format().Decode(name, data, baseDir, c, c.checkRules)
	if err != nil {
		return nil, err
	}
	c.places = places
	c.complete()
	return c, nil
}

// format lets the decoder read addresses.
func format() strict.Format {
	return strict.Format{Foreign: func(target any, limits string) strict.Scalar {
		if a, ok := target.(*envelope.Address); ok {
			return addressValue{a, limits}
		}
		return nil
	}}
}

// Show is c as YAML, with every default filled in and without secrets: of those
// it has only the paths of their files.
func Show(c *Config) (string, error) { return format().Show(c) }
