package shapes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Leaf is a part that holds no other, as a judge has found it.
type Leaf struct {
	Type   string `json:"type"`
	Named  bool   `json:"named"`  // it has a file name
	Size   int    `json:"size"`   // octets, decoded
	SHA256 string `json:"sha256"` // of them; of a message type with LF line ends and without the last ones
}

// File is an attachment that has arrived.
type File struct {
	Type    string
	Content []byte
}

// IsSealed tells whether the shape must not be taken apart.
func (s Shape) IsSealed() bool {
	return strings.Contains(s.Fields, "multipart/signed") || strings.Contains(s.Fields, "multipart/encrypted") ||
		strings.Contains(s.Fields, "pkcs7-mime")
}

// IsUnread reports whether nobody knows what a text of the shape says, so that the
// original goes along.
func (s Shape) IsUnread() bool { return strings.Contains(s.Fields, "x-vendor-8") }

// forms are the types that a text may have, of which one is kept.
var forms = []string{"text/plain", "text/html", "text/enriched", "text/x-amp-html"}

// Compare holds what arrived of s against the leaves: all attachments are leaves,
// octet for octet and in their order, but for text before the first part or after
// the last one, which follows them; and what did not arrive is a text without a
// name. It returns what is wrong.
func (s Shape) Compare(leaves []Leaf, got []File) error {
	for _, l := range leaves {
		if len(got) > 0 && digest(got[0]) == l.SHA256 &&
			(got[0].Type == l.Type || !strings.Contains(l.Type, "message/")) {
			got = got[1:]
		} else if l.Named || !slices.Contains(forms, l.Type) {
			return fmt.Errorf("a part %s of %d octets is missing or changed", l.Type, l.Size)
		}
	}
	got = slices.DeleteFunc(got, func(f File) bool {
		content := string(f.Content)
		return f.Type == "text/plain" && content != "" &&
			(strings.HasPrefix(s.Body, content) || strings.HasSuffix(s.Body, content))
	})
	if len(got) > 0 {
		return fmt.Errorf("an attachment %s of %d octets is no part of the message", got[0].Type, len(got[0].Content))
	}
	return nil
}

func digest(f File) string {
	content := f.Content
	if strings.HasPrefix(f.Type, "message/") {
		content = bytes.TrimRight(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "\n")
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
