package pace

import (
	"encoding/json"
	"errors"
	"time"

	"graphrelay/relay/pacing"
)

// A mailbox may have its mail sent by another node from now on. What that one needs to know
// is a short text: what was spent within the windows of the budgets, and the pauses.

// carried is what the text of a Mailbox says.
type carried struct {
	Upload   carriedBudget `json:"upload,omitzero"`
	Requests carriedBudget `json:"requests,omitzero"`
	Rate     carriedBudget `json:"rate,omitzero"`

	Asked    time.Time `json:"asked,omitzero"` // the pause that Graph asked for
	Episodes int       `json:"episodes,omitempty"`
	Trouble  time.Time `json:"trouble,omitzero"` // the pause after failures
	Slots    int       `json:"slots,omitempty"`  // the limiter's
	Since    time.Time `json:"since,omitzero"`
}

// carriedBudget is what was spent in the parts of a window, the last part first.
type carriedBudget struct {
	Limit int64         `json:"limit,omitempty"`
	Per   time.Duration `json:"per,omitempty"`
	Last  int64         `json:"last"`
	Spent []int64       `json:"spent"`
}

// Text is what a Mailbox knows, for the node that sends its mail next; "" where that is nothing.
// It does not change by time alone, but for what is over.
func (m *Mailbox) Text(now time.Time) string {
	c := carried{
		Upload: m.upload.carry(now), Requests: m.requests.carry(now), Rate: m.rate.carry(now),
	}
	if until := m.throttle.pausedUntil(now); !until.IsZero() {
		c.Asked, c.Episodes = until.UTC(), m.throttle.episodes
	}
	if m.trouble.After(now) {
		c.Trouble = m.trouble.UTC()
	}
	if m.limiter.lowered > 0 {
		c.Slots, c.Since = m.limiter.lowered, m.limiter.since.UTC()
	}
	text, err := json.Marshal(c)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return string(text)
}

// Read adds to a Mailbox what the text of another node says: whatever it knows itself stays
// if it lets less be sent. The rate is set before. A damaged text is an error and adds nothing.
func (m *Mailbox) Read(now time.Time, text string) error {
	if text == "" {
		return nil
	}
	var c carried
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	if c.Episodes < 0 || c.Slots < 0 || c.Upload.damaged() || c.Requests.damaged() || c.Rate.damaged() {
		return errors.New("pace: numbers that cannot be")
	}
	m.upload.read(now, c.Upload)
	m.requests.read(now, c.Requests)
	m.rate.read(now, c.Rate)
	if c.Asked.After(m.throttle.until) {
		m.throttle = throttle{until: c.Asked, episodes: c.Episodes}
	}
	m.trouble = pacing.Later(m.trouble, c.Trouble)
	if c.Slots > 0 && c.Since.After(m.limiter.since) {
		m.limiter = limiter{lowered: c.Slots, since: c.Since}
	}
	return nil
}

func (b *budget) carry(now time.Time) (c carriedBudget) {
	if b.limit <= 0 {
		return c
	}
	if b.advance(now); b.sum == 0 {
		return c
	}
	c.Limit, c.Per = b.limit, b.per
	for p := b.last; p >= max(b.last-budgetSteps, 0); p-- {
		spent := b.spent[p%(budgetSteps+1)]
		if len(c.Spent) == 0 && spent == 0 {
			continue // the text stays as it is while nothing is spent
		}
		if len(c.Spent) == 0 {
			c.Last = p
		}
		c.Spent = append(c.Spent, spent)
	}
	for c.Spent[len(c.Spent)-1] == 0 {
		c.Spent = c.Spent[:len(c.Spent)-1]
	}
	return c
}

// damaged reports whether a budget is none that carry returned.
func (c carriedBudget) damaged() bool {
	for _, spent := range c.Spent {
		if spent < 0 || spent > 1<<50 {
			return true
		}
	}
	return len(c.Spent) > budgetSteps+1 || c.Last < 0 || c.Limit < 0 || c.Per < 0
}

// read adds what another node spent. Where its clock is ahead, that was earlier than it says.
func (b *budget) read(now time.Time, c carriedBudget) {
	if b.limit <= 0 || c.Limit != b.limit || c.Per != b.per {
		return
	}
	b.advance(now)
	last := min(c.Last, b.last)
	for i, spent := range c.Spent {
		p := last - int64(i)
		if p < max(b.last-budgetSteps, 0) {
			return
		}
		if known := &b.spent[p%(budgetSteps+1)]; spent > *known {
			b.sum += spent - *known
			*known = spent
		}
	}
}
