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

// A certificate is removed only while mail is sent with another one.
func TestNothingIsRemovedWithoutMail(t *testing.T) {
	now := spring.AddDate(0, 6, 0)
	file := Key{Thumbprint: "A", Start: spring, End: spring.AddDate(1, 0, 0)}
	n := Note{Retired: []Retired{{Key: Key{Thumbprint: "B", ID: "b", End: now.AddDate(1, 0, 0)}, Unused: true},
		{Key: Key{Thumbprint: "C", ID: "c", End: now.AddDate(0, 0, -1)}},
		{Key: Key{Thumbprint: "A", ID: "a", End: now.AddDate(0, 0, -1)}}}}
	for i, want := range []Action{Remove, Remove, Wait} {
		if got, _ := Next(n, Facts{Now: now, File: file}); got != Wait {
			t.Errorf("%d: %s before mail was sent", i, got)
		}
		f := Facts{Now: now, File: file, Sent: true}
		got, _ := Next(n, f)
		if got != want {
			t.Errorf("%d: %s", i, got)
		}
		if got == Remove {
			n = n.After(Remove, Result{}, f)
		}
	}
	if len(n.Retired) != 1 || n.Retired[0].Thumbprint != "A" {
		t.Errorf("%+v", n.Retired)
	}
}
