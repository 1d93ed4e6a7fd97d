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

const (
	identity    = outcome.ScopeIdentity
	adviceCloud = "check cloud (or endpoints) in the configuration: login and graph must belong to the same cloud"
	adviceOften = "find what else logs in with this app so often"
	adviceLog   = "look into the sign-in log of the service principal"
)

// Refusals are the answers to a login that are known. The outcome follows from
// status and error alone; the numbers (AADSTS...) only choose advice, as
// Microsoft asks of programs. The one exception is the number of throttling, which
// comes with an error that would hold the identity.
func Refusals() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		on("429", "", "").Retry(identity, "4.7.0", "Entra throttles logins", adviceOften),
		on("", "AADSTS90055", "").Retry(identity, "4.7.0", "Entra throttles logins", adviceOften),
		on("408 5xx", "", "").Retry(identity, "4.3.0", "Entra has a transient failure", ""),
		on("", "temporarily_unavailable server_error slow_down", "").
			Retry(identity, "4.3.0", "Entra has a transient failure", ""),
		on("", "invalid_client", "").Hold(identity, "4.7.0", "Entra refuses the app's credential",
			"check the secret or certificate in place against those of the app registration"),
		on("", "unauthorized_client", "").Hold(identity, "4.7.0", "Entra does not let the app log in",
			"check client_id and tenant_id in the configuration"),
		on("", "invalid_scope invalid_resource", "").
			Hold(identity, "4.3.5", "Entra does not know the resource asked for", adviceCloud),
		on("", "invalid_request", "").Hold(identity, "4.3.5", "Entra does not understand the login",
			"check client_id, tenant_id and cloud (or endpoints) in the configuration"),
		on("", "interaction_required invalid_grant access_denied", "").
			Hold(identity, "4.7.0", "a policy of the tenant refuses the login", adviceLog),
		on("", "-", "").Hold(identity, "4.3.5", "what answered the login is not Entra",
			"check the login endpoint in the configuration, "+
				"and any proxy between this machine and login.microsoftonline.com (HTTPS_PROXY, NO_PROXY)"),
		on("", "", "").Hold(identity, "4.7.0", "Entra refuses the login", "look up the code, and "+adviceLog),
	}
}

// MetadataRefusals are the answers of the metadata service of an Azure machine
// (how-to-use-vm-token); error and description differ from source to source.
func MetadataRefusals() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		on("429", "", "").Retry(identity, "4.7.0", "the machine asks for tokens too often",
			"find what else on this machine logs in with its identity so often"),
		on("404 410 408 5xx", "", "").Retry(identity, "4.3.0",
			"the machine's identity is not ready, as happens for a minute after an update",
			"if it lasts, restart the machine"),
		on("400", "", "").Hold(identity, "4.7.0", "this machine has no such identity",
			"assign the managed identity to the machine (Identity, in its page of the portal), "+
				"or correct managed_identity in the configuration"),
		on("401 403", "", "").Hold(identity, "4.7.0", "the metadata service refuses this program",
			"check that this is a machine of Azure and that the service's user may ask (under Azure Arc: group himds)"),
		on("", "", "").Hold(identity, "4.3.5", "what answers is not a metadata service",
			"check that this is a machine of Azure, and that no proxy answers for 169.254.169.254"),
	}
}

// Numbers are advice for some of the numbers in Entra's answers, and decide nothing else.
func Numbers() []outcome.Row {
	number := func(list, advice string) outcome.Row {
		return outcome.Row{When: "AADSTS" + strings.ReplaceAll(list, " ", " AADSTS"), Scope: identity, Advice: advice}
	}
	return []outcome.Row{
		number("7000215", "the client secret is wrong; put the secret's Value in place, not its Secret ID"),
		number("7000222", "the client secret has expired; "+
			"make a new one in the app registration and put its Value in place"),
		number("700027", "Entra does not know the certificate; upload it to the app registration, "+
			"and check that the file in place holds the same one and that it has not expired"),
		number("700024", "the login's times are not valid; set this machine's clock right (NTP), "+
			"and check the certificate's validity"),
		number("700030", "the subject name of the certificate is not authorised for the app; "+
			"use the certificate that was uploaded"),
		number("700016 700011 7000229", "check client_id and tenant_id in the configuration; "+
			"the app may have been deleted, or belong to another tenant or cloud"),
		number("70001 7000112", "the app is disabled; enable sign-in for its enterprise application"),
		number("90002 90038 900382", "check tenant_id, "+
			"and that cloud (or endpoints) in the configuration is the tenant's"),
		number("53003 53000 530035", "a Conditional Access policy for workload identities refuses the login; "+
			"exempt the app or this machine's address, or change the policy"),
		number("65001 650052 650056 650057 500011", "the app has no grant in this tenant; "+
			"give admin consent, or assign the role in Exchange (RBAC for Applications)"),
		number("70011 1002012", adviceCloud),
		number("70021 700211 700212 700213", "the federated credential of the app registration does not match "+
			"the token of this workload: compare issuer, subject and audience"),
		number("90006 90012 90024 90033", "nothing to do; Entra asks to try again later"),
		number("500021 500022", "a proxy between this machine and login.microsoftonline.com restricts tenants "+
			"(Restrict-Access-To-Tenants); have it allow this tenant, or exempt this machine"),
		number("50196 90055", "too many logins; "+adviceOften),
	}
}

// loginAdvice gives better advice for the numbers that are known.
func loginAdvice(number int) string {
	known := func(r outcome.Row) bool {
		return slices.Contains(strings.Fields(r.When), fmt.Sprintf("AADSTS%d", number))
	}
	if i := slices.IndexFunc(Numbers(), known); i >= 0 {
		return Numbers()[i].Advice
	}
	return ""
}

// LoginError says why there is no token. Its Answer is what a message that
// waits for the token gets.
type LoginError struct{ Answer outcome.Answer }

func (e *LoginError) Error() string {
	if e.Answer.Advice == "" {
		return e.Answer.Text
	}
	return e.Answer.Text + ": " + e.Answer.Advice
}

// refusal is the body of a refused login, RFC 6749 section 5.2 with the additions of Entra.
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

// judge finds the row for a refusal. The last row of each catalogue matches everything.
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
