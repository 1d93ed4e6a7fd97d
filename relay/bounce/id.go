package bounce

import (
	"crypto/aes"
	"encoding/hex"

	"graphrelay/relay/envelope"
)

// IDField is the header field by which a bounce finds its message.
const IDField = "X-Graphrelay-ID"

// Key turns queue IDs into the opaque IDs of IDField and back. A queue ID fills one
// block of AES, so nothing need be stored for each message, and only who has the key can
// make an ID that a message has.
type Key [16]byte

// ID is what IDField says of a message: 32 hexadecimal digits that reveal nothing.
func (k Key) ID(id envelope.QueueID) string {
	var block [aes.BlockSize]byte
	copy(block[:], id)
	cipher, _ := aes.NewCipher(k[:]) // 16 bytes are a key
	cipher.Encrypt(block[:], block[:])
	return hex.EncodeToString(block[:])
}

// QueueID is the reverse of ID; false for what is no ID of this key.
func (k Key) QueueID(text string) (envelope.QueueID, bool) {
	block, err := hex.DecodeString(text)
	if err != nil || len(block) != aes.BlockSize {
		return "", false
	}
	cipher, _ := aes.NewCipher(k[:])
	cipher.Decrypt(block, block)
	id, err := envelope.ParseQueueID(string(block))
	return id, err == nil
}
