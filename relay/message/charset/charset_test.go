package charset

import (
	"runtime"
	"strings"
	"testing"
)

// The decoder of each word was made of three readers with buffers: a header of
// words cost ten seconds.
func TestManyEncodedWordsCostLittle(t *testing.T) {
	for _, word := range []string{"=?big5?q?a?= ", "=?iso-2022-jp?q?a?= ", "=?x?q?a?= ", "=?gb18030?b?YQ==?=",
		"=?utf-8?q?a?= "} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = DecodeWords(strings.Repeat(word, 20_000))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 20_000*2048 {
			t.Errorf("20,000 words %s took %d bytes of memory", word, got)
		}
	}
}
