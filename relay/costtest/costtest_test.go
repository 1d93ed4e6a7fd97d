package costtest

import (
	"strings"
	"testing"
)

// A reader that looks for the end of each quoted string from its begin on, as if
// every one had an end, is found; one that remembers where it looked is not.
func TestPlantedQuadraticsAreFound(t *testing.T) {
	quotes := func(size int) string { return strings.Repeat(`"a`, size/2) }
	for name, c := range map[string]struct {
		read func(in string)
		want bool
	}{
		"looks from each quote to the end": {func(in string) {
			for i := range in {
				if in[i] == '"' {
					sink += strings.Count(in[i+1:], ";")
				}
			}
		}, true},
		"moves the rest to the front": {func(in string) {
			for b := []byte(in); len(b) > 0; b = b[:copy(b, b[1:])] {
				sink++
			}
		}, true},
		"one pass": {func(in string) {
			for range 50 {
				for i := range in {
					sink += int(in[i]) * i
				}
			}
		}, false},
	} {
		if r := ratio(quotes, c.read); (r > steep) != c.want {
			t.Errorf("%s: ratio %.1f", name, r)
		}
	}
}

var sink int
