// Package costtest judges that what reads foreign bytes takes work in proportion
// to their number, so that no message costs more than it weighs. It is for tests.
//
// It measures the processor time of the calling thread, which the load of the
// machine does not change, and looks only at the ratio of two such times: that
// for an input, and that for one eight times as long.
package costtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Inputs grow between these lengths, in bytes, until one takes long enough to
	// be measured.
	minSize = 16 << 10
	maxSize = 256 << 10
	cheap   = 2 * time.Millisecond
	// factor is how much longer the longer input is, and steep a ratio of times
	// between that and its square. Memory that is new to the process may cost as much,
	// once: a steep ratio counts if it is steep again between the longer input and one
	// that is longer by more.
	factor, steep    = 8, 16
	more, steepAgain = 4, 9
)

// Linear fails the test if read takes more than in proportion for one of the
// inputs that repeat tokens: each pair "ababab..." and "aaa...bbb...". frame puts
// such a text where the parser reads it.
func Linear(t *testing.T, tokens []string, frame func(text string) string, read func(in string)) {
	t.Helper()
	for i, a := range tokens {
		for j, b := range tokens {
			if i <= j {
				Shape(t, fmt.Sprintf("%q and %q in turns", a, b), func(size int) string {
					return frame(strings.Repeat(a+b, size/len(a+b)))
				}, read)
			}
			if i != j {
				Shape(t, fmt.Sprintf("many %q, then many %q", a, b), func(size int) string {
					return frame(strings.Repeat(a, size/2/len(a)) + strings.Repeat(b, size/2/len(b)))
				}, read)
			}
		}
	}
}

// Shape fails the test if read takes more than in proportion for the inputs that
// build makes, which have about size bytes.
func Shape(t *testing.T, name string, build func(size int) string, read func(in string)) {
	t.Helper()
	if r := ratio(build, read); r > steep {
		t.Errorf("%s: an input of %d times the length takes %.0f times the work", name, factor, r)
	}
}

// ratio is the factor between the times of an input and of one that is as much
// longer as factor says; 1 where the longest input is cheap.
func ratio(build func(size int) string, read func(in string)) float64 {
	size := minSize
	for cost(build(size), read) < cheap {
		if size *= 4; size > maxSize {
			return 1
		}
	}
	first := compare(build(size), build(size/factor), steep, read)
	if first > steep && compare(build(size*more), build(size), steepAgain, read) <= steepAgain {
		return factor
	}
	return first
}

// compare is the factor between the least times of two inputs, for a collection of
// garbage may add to each. It tries on while that is steep.
func compare(long, short string, steep float64, read func(in string)) float64 {
	slow, quick := time.Hour, time.Hour
	for try := 0; ; try++ {
		slow, quick = min(slow, cost(long, read)), min(quick, max(cost(short, read), time.Microsecond))
		if r := float64(slow) / float64(quick); try == 5 || try >= 1 && r <= steep {
			return r
		}
	}
}

// cost is the processor time that read takes.
func cost(in string, read func(in string)) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	read(in)
	return threadTime() - before
}

func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}
