package strict

import (
	"reflect"
	"strconv"
	"strings"
)

func keyNames(t reflect.Type) string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.Tag.Get("yaml"))
	}
	return strings.Join(names, ", ")
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, t reflect.Type) *Fault {
	if near := nearest(name, t); near != "" {
		return Bad("is an unknown key", "did you mean "+near+"? If not, remove it")
	}
	return Bad("is an unknown key", "remove it, or write one of "+keyNames(t))
}

func nearest(name string, t reflect.Type) string {
	best, bestDistance := "", 3
	for _, f := range fieldsOf(t) {
		key := f.Tag.Get("yaml")
		if len(name) > len(key)+3 {
			continue // also bounds the work for an absurd key
		}
		if d := distance(strings.ToLower(name), key); d < bestDistance {
			best, bestDistance = key, d
		}
		if len(name) > 3 && bestDistance > 1 && strings.HasPrefix(key, name+"_") {
			best, bestDistance = key, 1
		}
	}
	return best
}

// distance is the number of insertions, deletions and changes between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// printable is a key as it can be shown in a message.
func printable(key string) string {
	key = cut(key, maxText)
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` || key == "" {
		return quoted
	}
	return key
}
