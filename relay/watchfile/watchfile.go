// Package watchfile notices that files have changed, so that a renewed
// credential or certificate is loaded without a restart. It looks at them with
// stat, which also sees a file that was replaced and a symbolic link that was
// turned, as Kubernetes does. It must not know what the files hold.
package watchfile

import (
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Files is a set of files and the state in which they were seen last. It is not
// safe for use by several goroutines.
type Files struct {
	paths []string
	seen  []string
}

// New notes the present state of the files. A missing file is a state, too.
func New(paths ...string) *Files {
	f := &Files{paths: paths}
	f.seen = f.state()
	return f
}

// Changed reports whether any file was written, replaced, removed or created
// since New or since Changed last returned true. Call it before reading the
// files: a file that changes while it is read is then noticed the next time.
func (f *Files) Changed() bool {
	now := f.state()
	if slices.Equal(now, f.seen) {
		return false
	}
	f.seen = now
	return true
}

func (f *Files) state() []string {
	all := make([]string, len(f.paths))
	for i, path := range f.paths {
		all[i] = stateOf(path)
	}
	return all
}

// stateOf distinguishes states of the file behind all symbolic links, by time
// of change, size, inode and time of a change of owner or mode: a file that the
// service may read from now on has changed.
func stateOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "missing"
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), sys.Ino, sys.Ctim.Nano())
}
