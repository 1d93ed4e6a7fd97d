package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// The table word finds messages by what trace and list are asked for: each
// address, Message-ID and client of a message is one word, one integer:
//
//	29 bits  its bucket: 1,024 messages in the order in which they began
//	24 bits  a hash of the word
//	10 bits  which message of the bucket
//
// An index over the words themselves would put each into a random page of a
// tree that grows for 30 days, and accepting a message would write a page for
// each word. Here all writes go into one bucket, some fifteen pages whatever the
// backlog, and a batch of messages shares them. Finding a word costs one look-up
// per bucket: 1,075 of them for 1.1 million messages. Two words may have the same
// hash; so each message that is found this way is checked (Filter.Matches).
//
// One message would write a third of those pages for its few words. So words are
// written for many messages at once, and the same commit moves the watermark: messages
// whose number is above it have no words yet, and a search looks at each of them. A
// message that is committed after the watermark has passed its number brings its own.
const (
	placeBits = 10
	hashBits  = 24
	placeMask = 1<<placeBits - 1
)

// wordOf hashes a word; kind distinguishes the same text in two roles.
func wordOf(kind, text string) int64 {
	sum := sha256.Sum256([]byte(kind + text))
	return int64(binary.BigEndian.Uint32(sum[:4]) >> (32 - hashBits))
}

func senderWord(a envelope.Address) int64    { return wordOf("s", a.Key()) } // From, reverse-path, mailbox
func recipientWord(a envelope.Address) int64 { return wordOf("r", a.Key()) }
func messageIDWord(id string) int64          { return wordOf("m", id) }
func clientWord(name string) int64           { return wordOf("c", name) }
func addrWord(a netip.Addr) int64            { return wordOf("i", a.String()) }

// wordKey is a word of message n as it is stored.
func wordKey(n, word int64) int64 {
	return n>>placeBits<<(hashBits+placeBits) | word<<placeBits | n&placeMask
}

// bucketKeys are the first and the last place of a word in a bucket.
func bucketKeys(b, word int64) (first, last int64) {
	return wordKey(b<<placeBits, word), wordKey(b<<placeBits|placeMask, word)
}

// wordsOf lists the words of a message, each once.
func wordsOf(m *spool.Message) []int64 {
	words := []int64{senderWord(m.From), senderWord(m.Mailbox), clientWord(m.Client.Name), messageIDWord(m.MessageID)}
	if !m.Envelope.ReversePath.IsZero() {
		words = append(words, senderWord(m.Envelope.ReversePath))
	}
	if m.Client.Addr.IsValid() {
		words = append(words, addrWord(m.Client.Addr.Addr()))
	}
	for _, to := range m.Envelope.Recipients {
		words = append(words, recipientWord(to))
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func insertWords(c *db.Conn, n int64, m *spool.Message) error {
	return c.Many("INSERT INTO word VALUES (?) ON CONFLICT DO NOTHING", keysOf(n, m))
}

// keysOf are the words of a message as they are stored.
func keysOf(n int64, m *spool.Message) (list [][]any) {
	for _, w := range wordsOf(m) {
		list = append(list, []any{wordKey(n, w)})
	}
	return list
}

// How many messages get their words at once, how many of the latest wait, since others
// that began before them may still arrive, and how many words are written in one go.
const (
	WordBatch = 128
	WordDelay = 64
	WordLimit = 2000
)

// withWords adds a change that writes the words of many messages, when it is time.
func (s *Store) withWords(batch []*change) []*change {
	last := s.lastNumber.Load() - WordDelay
	if s.Options.Moving || last-max(s.watermark, s.wordsTried) < WordBatch {
		return batch
	}
	s.wordsTried = last
	return append(batch, &change{apply: func(t *Tx) error { return t.WriteWords(last) }, done: make(chan struct{})})
}

// noteWatermark follows a commit.
func (s *Store) noteWatermark(n int64) {
	if n > s.watermark {
		s.watermark, s.wordsTried = n, 0
	}
}

// WriteWords moves the watermark, to a number at most: messages get their words.
func (t *Tx) WriteWords(last int64) error {
	const sql = "SELECT " + recordColumns + " FROM message WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"
	found, err := db.All(t.Conn, sql, []any{t.watermark, last, int64(2 * WordBatch)}, func(r *db.Row) (stored, error) {
		m, _ := readRecord(r)
		r.Err = nil // a damaged row has the words that can be read
		return m, nil
	})
	if err != nil {
		return err
	}
	written := 0
	for i, m := range found {
		if err := insertWords(t.Conn, m.n, &m.Message); err != nil {
			return err
		}
		if written += len(m.Envelope.Recipients); written >= WordLimit || i+1 == 2*WordBatch {
			last = m.n // the next commit continues
			break
		}
	}
	if err := t.Run("UPDATE meta SET v = ? WHERE k = 'words'", strconv.FormatInt(last, 10)); err != nil {
		return err
	}
	t.watermark = last
	return nil
}

// allWords is the watermark of a store that has none.
const allWords = math.MaxInt64 - 1

// readWatermark finds out up to which number messages have words: a store that an older
// program wrote has them all.
func readWatermark(c *db.Conn) (int64, error) {
	v, err := c.Text("SELECT v FROM meta WHERE k = 'words'")
	if err != nil || v == "" {
		return allWords, err
	}
	return strconv.ParseInt(v, 10, 64)
}

// deleteWords removes the words of a message that is about to be deleted.
func deleteWords(c *db.Conn, n int64) (deleted int, err error) {
	found, err := readRecords(c, "SELECT "+recordColumns+" FROM message WHERE n = ?", n)
	if _, sql := db.KindOf(err); sql {
		return 0, err
	}
	for _, m := range found { // a row that cannot be read leaves its words behind; they find nothing
		keys := keysOf(n, &m.Message)
		if err := c.Many("DELETE FROM word WHERE k = ?", keys); err != nil {
			return deleted, err
		}
		deleted += len(keys)
	}
	return deleted, nil
}

// wordsOfFilter lists the words that every match of a filter has.
func wordsOfFilter(f spool.Filter) []int64 {
	var words []int64
	for _, a := range []envelope.Address{f.Mailbox, f.Sender, f.ReversePath} {
		if !a.IsZero() {
			words = append(words, senderWord(a))
		}
	}
	if !f.Recipient.IsZero() {
		words = append(words, recipientWord(f.Recipient))
	}
	if f.MessageID != "" {
		words = append(words, messageIDWord(f.MessageID))
	}
	if f.Client != "" {
		words = append(words, clientWord(f.Client))
	}
	if f.ClientIP.IsValid() {
		words = append(words, addrWord(f.ClientIP))
	}
	return words
}

// keyOfNumber is in SQL the key of a message without a word, from its number.
func keyOfNumber() string {
	return fmt.Sprintf("((message.n >> %d) << %d | (message.n & %d))", placeBits, hashBits+placeBits, placeMask)
}

// keyOfWord is the same from the key of one of its words, without reading the message.
func keyOfWord() string { return fmt.Sprintf("(word.k & %d)", ^(int64(1<<hashBits-1) << placeBits)) }

// hasWords is a condition on a message that has such a key: it has all of these words.
func hasWords(words []wanted, join, key string) (sql string) {
	const has = "EXISTS (SELECT 1 FROM word AS other WHERE other.k = %s | %d)"
	for _, w := range words {
		sql += join + fmt.Sprintf(has, key, w.word<<placeBits)
		join = " AND "
	}
	return sql
}
