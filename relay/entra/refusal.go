package entra

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// LoginError says why there is no token. Its Answer is what a message that
// waits for the token gets.
type LoginError struct{ Answer outcome.Answer }

func (e *LoginError) Error() string {
	if e.Answer.Advice == "" {
		return e.Answer.Text
	}
	return e.Answer.Text + ": " + e.Answer.Advice
}

// refusal is the body of a refused login, RFC 6749 section 5.2 with the
// additions of Entra.
type refusal struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	CorrelationID string `json:"correlation_id"`
}

func readRefusal(body []byte) refusal {
	var r refusal
	if json.Unmarshal(body, &r) != nil {
		return refusal{} // a type that does not fit may have left half a value
	}
	return r
}

// refused says what a failed login means for a message. It takes the error of
// azidentity; its whole answer is used, its text only where there was no answer.
func refused(err error, now time.Time, noAnswer func(error) outcome.Answer) outcome.Answer {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return noAnswer(err)
	}
	resp := failed.RawResponse
	body, _ := io.ReadAll(io.LimitReader(resp.Body, outcome.MaxBody))
	r := readRefusal(body)
	codes := []string{r.Error}
	for _, n := range r.Codes {
		codes = append(codes, fmt.Sprintf("AADSTS%d", n))
	}
	a := judge(Refusals(), resp, now, codes...)
	a.Code = text.Foreign(r.Error, outcome.MaxWord)
	a.Text = fmt.Sprintf("%s (it answered %s)", a.Text, outcome.Quote(resp.StatusCode, r.Error, r.Description, body))
	a.RequestID = text.Foreign(cmp.Or(r.CorrelationID, outcome.Field(resp.Header, "x-ms-request-id")), outcome.MaxWord)
	for _, n := range r.Codes {
		if advice := loginAdvice(n); advice != "" {
			a.Advice = advice
			break
		}
	}
	return a
}

// judge finds the row for a refusal. The last row of each catalogue matches
// everything.
func judge(rows []outcome.Row, resp *http.Response, now time.Time, codes ...string) outcome.Answer {
	codes = slices.DeleteFunc(codes, func(c string) bool { return c == "" })
	seen := outcome.Seen{HTTP: resp.StatusCode, Codes: codes}
	row, _ := outcome.Find(rows, seen)
	a := row.Answer()
	a.HTTPStatus = resp.StatusCode
	if a.Outcome == outcome.Retry {
		a.RetryAfter = outcome.RetryAfter(resp.Header, now)
	}
	return a
}

// ErrorText is the text of an error of azidentity without its pointer to a page.
func ErrorText(err error) string {
	words, _, _ := strings.Cut(err.Error(), " To troubleshoot, visit ")
	return words
}
