package text

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Redactor keeps the secrets in use out of texts: tokens, passwords and what else
// a server or a proxy may echo. It knows them as they are, form-encoded, quoted
// and in base64, and recognises pieces of them: texts are cut before they get here.
//
// It keeps no secret, only numbers made of pieces of it. Its methods may be called
// at the same time, and on a nil *Redactor, which knows nothing.
type Redactor struct {
	mu     sync.RWMutex
	base   uint64
	pieces map[uint64]int // how many secrets hold a piece
	sizes  map[int]int    // how many pieces of a size there are
}

const (
	pieceSize = 16 // bytes of a secret in a row that are recognised; all of a shorter one
	pieceStep = 8  // from one piece that is remembered to the next
	minSecret = 6  // a shorter secret would take words out of every text
)

// NewRedactor returns one that knows no secrets.
func NewRedactor() *Redactor {
	return &Redactor{base: rand.Uint64() | 1, pieces: map[uint64]int{}, sizes: map[int]int{}}
}

// Add makes secrets known until forget is called, which may happen twice.
func (r *Redactor) Add(secrets ...string) (forget func()) {
	if r == nil {
		return func() {}
	}
	var added []piece
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		for _, form := range forms(secret) {
			added = append(added, r.cut(form)...)
		}
	}
	r.count(added, 1)
	return sync.OnceFunc(func() { r.count(added, -1) })
}

// piece is some bytes of a secret in a row, as a number.
type piece struct {
	number uint64
	size   int
}

func (r *Redactor) cut(form string) (all []piece) {
	size := min(len(form), pieceSize)
	last := len(form) - size
	for i := 0; ; i = min(i+pieceStep, last) {
		all = append(all, piece{r.number(form[i : i+size]), size})
		if i == last {
			return all
		}
	}
}

func (r *Redactor) count(pieces []piece, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pieces {
		if r.pieces[p.number] += by; r.pieces[p.number] == 0 {
			delete(r.pieces, p.number)
		}
		if r.sizes[p.size] += by; r.sizes[p.size] == 0 {
			delete(r.sizes, p.size)
		}
	}
}

// number is a polynomial in the bytes of s, and begins with its size.
func (r *Redactor) number(s string) uint64 {
	n := uint64(0)
	for i := range len(s) {
		n = n*r.base + uint64(s[i]) + 1
	}
	return n + uint64(len(s))
}

// forms are the spellings in which a secret may come back.
func forms(secret string) []string {
	quoted := strconv.Quote(secret)
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1]}
	if b, err := json.Marshal(secret); err == nil {
		all = append(all, string(b[1:len(b)-1]))
	}
	for before := range 3 { // bytes before it in the same text, which shift its base64
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
		text = text[(before*8+5)/6 : (before+len(secret))*8/6]
		if len(text) >= minSecret {
			all = append(all, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Clean is s with "[secret]" in place of each secret, or piece of one.
func (r *Redactor) Clean(s string) string {
	if r == nil {
		return s
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []span
	for size := range r.sizes {
		found = r.find(found, s, size)
	}
	if len(found) == 0 {
		return s
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	end := 0
	for _, f := range found {
		if f.from >= end {
			b.WriteString(s[end:f.from])
			b.WriteString("[secret]")
		}
		end = max(end, f.to)
	}
	b.WriteString(s[end:])
	return b.String()
}

type span struct{ from, to int }

// find appends where pieces of a size are, in one pass.
func (r *Redactor) find(to []span, s string, size int) []span {
	if len(s) < size {
		return to
	}
	first := uint64(1) // what the byte that leaves was multiplied by
	for range size {
		first *= r.base
	}
	n := r.number(s[:size]) - uint64(size)
	end := 0 // of the last one found: what is within it needs no look
	for i := size; ; i++ {
		if i > end && r.pieces[n+uint64(size)] > 0 {
			to = append(to, around(s, i-size, i))
			end = to[len(to)-1].to
		}
		if i == len(s) {
			return to
		}
		n = n*r.base + uint64(s[i]) + 1 - (uint64(s[i-size])+1)*first
	}
}

// around widens a piece of a long secret to the word that it is part of: its ends
// may be ends of the secret that are too short to be recognised.
func around(s string, from, to int) span {
	if to-from < pieceSize {
		return span{from, to}
	}
	for from > 0 && isWord(s[from-1]) {
		from--
	}
	for to < len(s) && isWord(s[to]) {
		to++
	}
	return span{from, to}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~+%", c) >= 0
}

// Writer returns a Writer that cleans each line before it writes it to w. A line
// must come in one Write, as log/slog has it.
func (r *Redactor) Writer(w io.Writer) io.Writer { return cleanWriter{r, w} }

type cleanWriter struct {
	r *Redactor
	w io.Writer
}

func (c cleanWriter) Write(line []byte) (int, error) {
	if _, err := io.WriteString(c.w, c.r.Clean(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}
