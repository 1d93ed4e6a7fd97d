package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

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
	for _, w := range wordsOf(m) {
		if err := c.Run("INSERT OR IGNORE INTO word VALUES (?)", wordKey(n, w)); err != nil {
			return err
		}
	}
	return nil
}

// deleteWords removes the words of a message that is about to be deleted.
func deleteWords(c *db.Conn, n int64) (deleted int, err error) {
	found, err := readRecords(c, "SELECT "+recordColumns+" FROM message WHERE n = ?", n)
	if _, sql := db.KindOf(err); sql {
		return 0, err
	}
	for _, m := range found { // a row that cannot be read leaves its words behind; they find nothing
		for _, w := range wordsOf(&m.Message) {
			if err := c.Run("DELETE FROM word WHERE k = ?", wordKey(n, w)); err != nil {
				return deleted, err
			}
			deleted++
		}
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
func hasWords(words []wanted, key string) string {
	sql := ""
	for _, w := range words {
		sql += fmt.Sprintf(" AND EXISTS (SELECT 1 FROM word AS other WHERE other.k = %s | %d)", key, w.word<<placeBits)
	}
	return sql
}
