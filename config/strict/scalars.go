package strict

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number is a whole number, written in digits only: 0x10 and 1_000 are more
// often mistakes than intended.
type number int

func (n *number) Read(text string) *Fault {
	digits, f := Digits(text)
	if f != nil {
		return f
	}
	*n = number(digits)
	return nil
}

func (*number) About() (kind, example string) { return "number", "a number" }

// Digits reads a whole number that is written in digits only.
func Digits(text string) (int64, *Fault) {
	if strings.Trim(text, "0123456789") != "" || text == "" {
		return 0, Bad("is not a whole number", "write digits only, without a sign, a point or a unit")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, Bad("is too large", "write a smaller number")
	}
	return n, nil
}

// word is one of the words in the key's range.
type word string

func (w *word) Read(text string) *Fault     { *w = word(text); return nil }
func (*word) About() (kind, example string) { return "word", "a word" }

// Duration is a length of time, written as in 30s, 5m, 4h, 5d or 1h30m.
type Duration time.Duration

func unitOf(name string) time.Duration {
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[name]
}

func (d *Duration) Read(text string) *Fault {
	wrong := Bad("is not a duration", "write a number with s, m, h or d, as in 30s, 5m, 4h or 5d")
	var sum time.Duration
	last := time.Duration(math.MaxInt64)
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, f := Digits(rest[:digits])
		if f != nil || digits == len(rest) {
			return wrong
		}
		unit := unitOf(rest[digits : digits+1])
		if unit == 0 || unit >= last {
			return wrong
		}
		if n > int64((math.MaxInt64-sum)/unit) {
			return Bad("is too long", "write a shorter duration")
		}
		sum += time.Duration(n) * unit
		last, rest = unit, rest[digits+1:]
	}
	*d = Duration(sum)
	return nil
}

func (*Duration) About() (kind, example string) { return "duration", "a duration such as 5m" }

// String writes d as the file does, in seconds at the least.
func (d Duration) String() string {
	var b strings.Builder
	rest := time.Duration(d)
	for _, name := range []string{"d", "h", "m", "s"} {
		if n := rest / unitOf(name); n > 0 {
			fmt.Fprintf(&b, "%d%s", n, name)
			rest -= n * unitOf(name)
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// Size is a number of bytes, written as in 2100KiB, 256MiB, 1GiB or 4096.
type Size int64

func (s *Size) Read(text string) *Fault {
	number, unit := text, int64(1)
	for _, u := range []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			number, unit = n, u.factor
		}
	}
	n, f := Digits(number)
	if f != nil || n > math.MaxInt64/unit {
		return Bad("is not a size", "write a number of bytes, or one with KiB, MiB or GiB, as in 2100KiB")
	}
	*s = Size(n * unit)
	return nil
}

func (*Size) About() (kind, example string) { return "size", "a size such as 256MiB" }

// String writes s in the largest unit that leaves no rest.
func (s Size) String() string {
	switch {
	case s == 0 || s%(1<<10) != 0:
		return strconv.FormatInt(int64(s), 10)
	case s%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", s>>30)
	case s%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", s>>20)
	}
	return fmt.Sprintf("%dKiB", s>>10)
}

// truth is true or false, not one of YAML 1.1's other words for them.
type truth bool

func (b *truth) Read(text string) *Fault {
	if text != "true" && text != "false" {
		return Bad("is neither true nor false", "write true or false")
	}
	*b = text == "true"
	return nil
}

func (*truth) About() (kind, example string) { return "true or false", "true or false" }
