package tables

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// List implements spool.Reader. The order is that of the queue IDs or, for a search by
// words, that in which the messages began: the same, as long as the clock was right.
func (v *Reader) List(ctx context.Context, f spool.Filter) ([]spool.Record, error) {
	f.Limit = f.PageSize()
	return db.Read(ctx, v.Readers, func(c *db.Conn) ([]spool.Record, error) {
		holds, err := readHolds(c)
		if err != nil {
			return nil, err
		}
		var found []spool.Record
		for _, one := range f.Alternatives() {
			s := &search{Filter: one, Conn: c, sparse: v.Sparse, holds: holds}
			if err := s.run(ctx); err != nil {
				return nil, err
			}
			found = append(found, s.found...)
		}
		if f.Find == "" {
			return found, nil
		}
		return firstOf(found, f), nil
	})
}

// firstOf puts what several searches found into order, each message once.
func firstOf(found []spool.Record, f spool.Filter) []spool.Record {
	slices.SortFunc(found, func(a, b spool.Record) int {
		if f.Newest {
			return cmp.Compare(b.ID, a.ID)
		}
		return cmp.Compare(a.ID, b.ID)
	})
	found = slices.CompactFunc(found, func(a, b spool.Record) bool { return a.ID == b.ID })
	return found[:min(f.Limit, len(found))]
}

// parts is a condition that every match of a search for parts of texts meets, so that other
// rows are not read in full.
func (s *search) parts() (sql string, args []any) {
	has := func(part string, columns ...string) {
		if part == "" {
			return
		}
		sql += " AND (glob(?, " + strings.Join(columns, ") OR glob(?, ") + "))"
		for range columns {
			args = append(args, pattern(part))
		}
	}
	has(s.Subject, "subject")
	has(s.RecipientPart, "recipients")
	has(s.SenderPart, "sender", "reverse_path")
	has(s.Part, "recipients", "sender", "reverse_path", "subject", "message_id", "client")
	return sql, args
}

// pattern is what has a part, in upper or lower case, for the function glob: LIKE knows the case
// of ASCII letters only. It has a * at both ends, one of some runes in [], and else runes
// that stand for themselves.
func pattern(part string) string {
	var b strings.Builder
	b.WriteByte('*')
	for _, r := range part {
		folded := unicode.SimpleFold(r)
		if folded == r && !strings.ContainsRune("*?[", r) {
			b.WriteRune(r)
			continue
		}
		b.WriteByte('[')
		for b.WriteRune(r); folded != r; folded = unicode.SimpleFold(folded) {
			b.WriteRune(folded)
		}
		b.WriteByte(']')
	}
	b.WriteByte('*')
	return b.String()
}

// ByMessageID implements spool.Reader.
func (v *Reader) ByMessageID(ctx context.Context, messageID string, limit int) ([]spool.Record, error) {
	if messageID == "" {
		return nil, nil
	}
	return v.List(ctx, spool.Filter{MessageID: messageID, Newest: true, Limit: limit})
}

// search reads one page.
type search struct {
	spool.Filter
	*db.Conn
	sparse    int64
	watermark int64 // of the words
	holds     []spool.Hold
	found     []spool.Record
}

// How the page is read. A word that fewer than sparse messages have is the
// shortest way. skew is how far the time of a message and its queue ID, or its
// number and that of its neighbours in time, may be apart.
const (
	defaultSparse = 2000
	skewTime      = time.Minute
	skewNumber    = 4096
)

// errEnough ends a query once the page is full.
var errEnough = errors.New("spool: enough")

// run chooses the way: by word if one is rare or if no states are wanted, else by
// state, else along the queue IDs.
func (s *search) run(ctx context.Context) error {
	states, err := stateCodes(s.States)
	if err != nil {
		return err
	}
	if s.Undelivered {
		return s.byBounce(ctx)
	}
	if s.watermark, err = readWatermark(s.Conn); err != nil {
		return err
	}
	words, err := s.rarestFirst(wordsOfFilter(s.Filter))
	switch {
	case err != nil:
		return err
	case len(words) > 0 && (len(states) == 0 || words[0].count < s.sparse):
		return s.byWord(ctx, states, words)
	case len(states) > 0:
		return s.byState(ctx, states, words)
	}
	return s.byID(ctx)
}

// stateCodes are the numbers of states, each once: three states are stored as one.
func stateCodes(states []spool.State) ([]int64, error) {
	var codes []int64
	for _, state := range states {
		if err := state.Check(); err != nil {
			return nil, err
		}
		codes = append(codes, stateCode(state))
	}
	slices.Sort(codes)
	return slices.Compact(codes), nil
}

// collect runs a query of records and keeps those that match, up to limit.
func (s *search) collect(ctx context.Context, limit int, sql string, args ...any) ([]spool.Record, error) {
	var found []spool.Record
	each := func(r *db.Row) error {
		m, err := readRecord(r)
		if err != nil {
			return err
		}
		if shown := spool.Shown(m.Record, s.holds); s.Matches(shown) {
			found = append(found, shown)
		}
		if len(found) >= limit {
			return errEnough
		}
		return ctx.Err()
	}
	err := withColumns(sql, func(sql string) error { return s.Query(sql, args, each) })
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

func (s *search) byID(ctx context.Context) (err error) {
	ids, args := s.idRange()
	parts, partArgs := s.parts()
	sql := "SELECT " + recordColumns + " FROM message INDEXED BY sqlite_autoindex_message_1 WHERE" + ids + parts
	s.found, err = s.collect(ctx, s.Limit, sql+" ORDER BY id"+s.direction(), append(args, partArgs...)...)
	return err
}

// byState reads a page of each state, and returns the first of them all.
func (s *search) byState(ctx context.Context, states []int64, words []wanted) error {
	for _, state := range states {
		ids, args := s.idRange()
		sql := "SELECT " + recordColumns + " FROM message INDEXED BY by_state WHERE state = ? AND" + ids
		args = append([]any{state}, args...)
		if !s.Mailbox.IsZero() {
			sql += " AND lane = ?"
			args = append(args, s.Mailbox.Key())
		}
		parts, partArgs := s.parts()
		if len(words) > 0 {
			sql += " AND (n > ?" + hasWords(words, " OR ", keyOfNumber()) + ")"
			args = append(args, s.watermark)
		}
		sql += parts + " ORDER BY id" + s.direction()
		some, err := s.collect(ctx, s.Limit, sql, append(args, partArgs...)...)
		if err != nil {
			return err
		}
		s.found = append(s.found, some...)
	}
	s.found = firstOf(s.found, s.Filter)
	return nil
}

// byBounce reads a page of what bounced and one of what failed, each by its index.
func (s *search) byBounce(ctx context.Context) error {
	for _, way := range []string{"bounced WHERE bounces > 0", fmt.Sprint("by_state WHERE state = ", codeFailed)} {
		ids, args := s.idRange()
		parts, partArgs := s.parts()
		sql := "SELECT " + recordColumns + " FROM message INDEXED BY " + way + " AND" + ids + parts
		some, err := s.collect(ctx, s.Limit, sql+" ORDER BY id"+s.direction(), append(args, partArgs...)...)
		if err != nil && !strings.Contains(err.Error(), "no such index: bounced") { // of an older program
			return err
		}
		s.found = append(s.found, some...)
	}
	s.found = firstOf(s.found, s.Filter)
	return nil
}

// idRange is a condition on the queue ID that the page and the times set.
func (s *search) idRange() (string, []any) {
	low, high := envelope.QueueID(""), envelope.QueueID("~")
	if !s.Since.IsZero() {
		low = envelope.FirstQueueID(s.Since.Add(-skewTime))
	}
	if !s.Until.IsZero() {
		high = envelope.FirstQueueID(s.Until.Add(skewTime))
	}
	switch {
	case s.After == "":
	case s.Newest:
		high = min(high, s.After)
	default:
		low = max(low, s.After)
	}
	return " id > ? AND id < ?", []any{string(low), string(high)}
}

func (s *search) direction() string {
	if s.Newest {
		return " DESC"
	}
	return ""
}

// byWord goes through the buckets, and through what has no words yet, from one end until
// the page is full.
func (s *search) byWord(ctx context.Context, states []int64, words []wanted) error {
	low, high, err := s.numbers()
	if err != nil {
		return err
	}
	parts, partArgs := s.parts()
	rest := " AND message.n > ? AND message.n < ?" + inStates(states) + parts + " ORDER BY message.n" + s.direction()
	behind := func() error {
		args := append([]any{max(low, s.watermark), high}, partArgs...)
		return s.add(ctx, "SELECT "+recordColumns+" FROM message WHERE 1 = 1"+rest, args)
	}
	if s.Newest {
		err = behind()
	}
	sql := fmt.Sprintf(`SELECT %s FROM word CROSS JOIN message
		WHERE message.n = (? | (word.k & %d)) AND word.k BETWEEN ? AND ?%s%s`,
		recordColumns, placeMask, hasWords(words[1:], " AND ", keyOfWord()), rest)
	for b := range s.buckets(low, min(high, s.watermark+1)) {
		if err != nil || len(s.found) >= s.Limit {
			return err
		}
		first, last := bucketKeys(b, words[0].word)
		args := append([]any{b << placeBits, first, last, low, min(high, s.watermark+1)}, partArgs...)
		err = s.add(ctx, sql, args)
	}
	if err == nil && !s.Newest {
		err = behind()
	}
	return err
}

// add collects for the rest of the page.
func (s *search) add(ctx context.Context, sql string, args []any) error {
	if len(s.found) >= s.Limit {
		return nil
	}
	some, err := s.collect(ctx, s.Limit-len(s.found), sql, args...)
	s.found = append(s.found, some...)
	return err
}

// inStates keeps rows in other states from being read in full.
func inStates(codes []int64) string {
	if len(codes) == 0 {
		return ""
	}
	return " AND message.state IN (" + strings.Trim(strings.ReplaceAll(fmt.Sprint(codes), " ", ", "), "[]") + ")"
}

// buckets goes over those that hold numbers between low and high, both not included.
func (s *search) buckets(low, high int64) func(yield func(int64) bool) {
	first, last := max(low, 0)>>placeBits, max(high, 0)>>placeBits
	return func(yield func(int64) bool) {
		for i := range last - first + 1 {
			b := first + i
			if s.Newest {
				b = last - i
			}
			if !yield(b) {
				return
			}
		}
	}
}

// numbers bounds the numbers of the messages that the page can hold.
func (s *search) numbers() (low, high int64, err error) {
	var errs [5]error
	number := func(i int, sql string, args ...any) (n int64) {
		n, errs[i] = s.Number(sql, args...)
		return n
	}
	low = number(0, "SELECT min(n) FROM message") - 1
	high = number(1, "SELECT max(n) FROM message") + 1
	const before = "SELECT n FROM message WHERE id <= ? ORDER BY id DESC LIMIT 1"
	if !s.Since.IsZero() {
		low = max(low, number(2, before, string(envelope.FirstQueueID(s.Since)))-skewNumber)
	}
	if !s.Until.IsZero() {
		const after = "SELECT n FROM message WHERE id >= ? ORDER BY id LIMIT 1"
		if n := number(3, after, string(envelope.FirstQueueID(s.Until))); n > 0 {
			high = min(high, n+skewNumber)
		}
	}
	switch {
	case s.After == "":
	case s.Newest:
		high = min(high, number(4, before, string(s.After)))
	default:
		low = max(low, number(4, before, string(s.After)))
	}
	return low, high, errors.Join(errs[:]...)
}

// wanted is a word that a match has, and how many messages have it: in all, or in
// the buckets that were counted until they were enough.
type wanted struct {
	word           int64
	count, buckets int64
}

// density compares words whose messages were not all counted.
func (w wanted) density() float64 { return float64(w.count) / float64(w.buckets) }

// rarestFirst counts the messages of each word, up to sparse.
func (s *search) rarestFirst(words []int64) ([]wanted, error) {
	if len(words) == 0 {
		return nil, nil
	}
	low, high, err := s.numbers()
	if err != nil {
		return nil, err
	}
	list := make([]wanted, 0, len(words))
	for _, w := range words {
		counted, err := s.count(w, low, high)
		if err != nil {
			return nil, err
		}
		list = append(list, counted)
	}
	slices.SortFunc(list, func(a, b wanted) int { return cmp.Compare(a.density(), b.density()) })
	return list, nil
}

func (s *search) count(word, low, high int64) (wanted, error) {
	w := wanted{word: word}
	for b := range s.buckets(low, high) {
		first, last := bucketKeys(b, word)
		n, err := s.Number("SELECT count(*) FROM word WHERE k BETWEEN ? AND ?", first, last)
		w.count += n
		w.buckets++
		if err != nil || w.count >= s.sparse {
			return w, err
		}
	}
	return w, nil
}
