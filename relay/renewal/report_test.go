package renewal

import (
	"strings"
	"testing"
	"time"
)

// What is a fault, and what is not one yet.
func TestTrouble(t *testing.T) {
	now := spring.AddDate(0, 6, 0)
	file := Key{Thumbprint: "A", Start: spring, End: spring.AddDate(1, 0, 0)}
	soon := Key{Thumbprint: "A", Start: spring, End: now.AddDate(0, 0, 20)}
	for name, row := range map[string]struct {
		note Note
		file Key
		want string // part of the headline; "" for none
	}{
		"nothing is due":           {Note{}, file, ""},
		"nobody has begun":         {Note{}, soon, "nothing renews it"},
		"it was looked today":      {Note{Looked: now.Add(-time.Hour)}, soon, ""},
		"a login failed just now":  {Note{Stage: Trying, Error: "no", Failing: now.Add(-time.Hour)}, soon, ""},
		"logins fail for hours":    {Note{Stage: Trying, Error: "no", Failing: now.Add(-3 * time.Hour)}, soon, "No"},
		"the old one is back":      {Note{Stage: Trying, Doubt: "refused"}, soon, "in force again"},
		"the old one was back":     {Note{Doubt: "refused", Looked: now}, soon, ""},
		"a new one waits for mail": {Note{Stage: Switched}, soon, ""},
	} {
		cause, _, ok := row.note.Trouble(row.file, now)
		if ok != (row.want == "") || !strings.Contains(cause.Headline, row.want) || !ok && cause.Remedy == "" {
			t.Errorf("%s: %+v %v", name, cause, ok)
		}
	}
}
