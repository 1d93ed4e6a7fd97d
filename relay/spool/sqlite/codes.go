package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// How the words of the contract are written in the columns.

// The states as numbers. The indexes of the schema name some of them.
const (
	codeQueued = int64(iota)
	codeActive
	codeHeld
	codeFailed
	codeDamaged
	codeSent
	codeBounced
	codeDeleted
	stateCount
)

func stateCode(s spool.State) (int64, error) {
	for code, name := range spool.States() {
		if name == s {
			return int64(code), nil
		}
	}
	return 0, s.Check()
}

func stateOf(code int64) (spool.State, error) {
	names := spool.States()
	if code < 0 || code >= int64(len(names)) {
		return "", fmt.Errorf("%w: state %d", spool.ErrDamaged, code)
	}
	return names[code], nil
}

// inQueue tells the states that count against queue.max_messages.
func inQueue(code int64) bool { return code <= codeHeld }

// hasBody tells the states that keep the stored bytes.
func hasBody(code int64) bool { return code <= codeDamaged }

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func statusCode(e reply.Enhanced) int64 {
	return int64(e[0])*1_000_000 + int64(e[1])*1_000 + int64(e[2])
}

func statusOf(n int64) reply.Enhanced {
	return reply.Enhanced{int(n / 1_000_000), int(n / 1_000 % 1_000), int(n % 1_000)}
}

func addressOf(s string) (envelope.Address, error) {
	if s == "" {
		return envelope.Address{}, nil
	}
	a, err := envelope.ParseRecipient(s)
	if err != nil {
		return a, fmt.Errorf("%w: %w", spool.ErrDamaged, err)
	}
	return a, nil
}

// joinAddresses writes one address a line; none of them can hold a line break.
func joinAddresses(list []envelope.Address) string {
	s := make([]string, len(list))
	for i, a := range list {
		s[i] = a.String()
	}
	return strings.Join(s, "\n")
}

func splitAddresses(s string) ([]envelope.Address, error) {
	if s == "" {
		return nil, nil
	}
	var list []envelope.Address
	for line := range strings.SplitSeq(s, "\n") {
		a, err := addressOf(line)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func joinKeys(list []envelope.Address) string {
	s := make([]string, len(list))
	for i, a := range list {
		s[i] = a.Key()
	}
	return strings.Join(s, "\n")
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func addrPortOf(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("%w: %w", spool.ErrDamaged, err)
	}
	return a, nil
}

// senderHash stands for a From in the index due: short, and in 63 bits of
// SHA-256 not to be met by chance or by design.
func senderHash(a envelope.Address) int64 {
	sum := sha256.Sum256([]byte(a.Key()))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}
