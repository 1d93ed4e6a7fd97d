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
	adviceWait  = "nothing to do: it is tried again; if it lasts, see the service health page of the admin centre"
	adviceCloud = "check cloud (or endpoints) in the configuration: login and graph must belong to the same cloud"
	adviceOften = "find what else logs in with this app so often"
	adviceLog   = "look into the sign-in log of the service principal"
)

// Refusals are the answers to a login that are known. The outcome follows from
// status and error alone; the numbers (AADSTS...) only choose the words, as
// Microsoft asks of programs. The one exception is the number of throttling, which
// comes with an error that would hold the identity.
func Refusals() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		on("429", "", "").Retry(identity, "4.7.0", "Entra limits the logins of the app", adviceOften),
		on("", "AADSTS90055", "").Retry(identity, "4.7.0", "Entra limits the logins of the app", adviceOften),
		on("408 5xx", "", "").Retry(identity, "4.3.0", "Entra has a temporary fault", adviceWait),
		on("", "temporarily_unavailable server_error slow_down", "").
			Retry(identity, "4.3.0", "Entra has a temporary fault", adviceWait),
		on("", "invalid_client", "").Hold(identity, "4.7.0", "Entra refuses the client secret or certificate",
			"check the secret or certificate in place against those of the app registration"),
		on("", "unauthorized_client", "").Hold(identity, "4.7.0", "Entra does not let the app log in",
			"check client_id and tenant_id in the configuration"),
		on("", "invalid_scope invalid_resource", "").
			Hold(identity, "4.3.5", "Login and Graph belong to different clouds", adviceCloud),
		on("", "invalid_request", "").Hold(identity, "4.3.5", "Entra does not understand the login",
			"check client_id, tenant_id and cloud (or endpoints) in the configuration"),
		on("", "interaction_required invalid_grant access_denied", "").
			Hold(identity, "4.7.0", "A policy of the tenant refuses the login", adviceLog),
		on("", "-", "").Hold(identity, "4.3.5", "What answered the login is not Entra",
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
		on("429", "", "").Retry(identity, "4.7.0", "This machine asks for tokens too often",
			"find what else on this machine logs in with its identity so often"),
		on("404 410 408 5xx", "", "").Retry(identity, "4.3.0",
			"Identity of this machine is not ready",
			"wait a minute, as after an update; if it lasts, restart the machine"),
		on("400", "", "").Hold(identity, "4.7.0", "This machine has no such managed identity",
			"assign the managed identity to the machine (Identity, in its page of the portal), "+
				"or correct managed_identity in the configuration"),
		on("401 403", "", "").Hold(identity, "4.7.0", "Metadata service of this machine refuses the relay",
			"check that this is a machine of Azure and that the service's user may ask (under Azure Arc: group himds)"),
		on("", "", "").Hold(identity, "4.3.5", "What answers is not the metadata service of an Azure machine",
			"check that this is a machine of Azure, and that no proxy answers for 169.254.169.254"),
	}
}

// Numbers are the words for some of the numbers in Entra's answers, and decide nothing else.
func Numbers() []outcome.Row {
	number := func(list, text, advice string) outcome.Row {
		return outcome.Row{
			When: "AADSTS" + strings.ReplaceAll(list, " ", " AADSTS"), Scope: identity, Text: text, Advice: advice,
		}
	}
	return []outcome.Row{
		number("7000215", "Client secret is wrong",
			"put the secret's Value, not its Secret ID, into client_secret_file"),
		number("7000222", "Client secret expired",
			"make a new one in the app registration (Certificates & secrets) "+
				"and put its Value into client_secret_file"),
		number("700027", "Entra does not know the certificate, or it expired",
			"upload it to the app registration, and check with graphrelay cert show "+
				"that certificate_file holds the same one and that it has not expired"),
		number("700024", "Clock of this machine is wrong, or the certificate is not valid now",
			"set the clock right (timedatectl set-ntp true), "+
				"and check the certificate's validity (graphrelay cert show)"),
		number("700030", "Subject name of the certificate is not authorised for the app",
			"use the certificate that was uploaded"),
		number("700016 700011 7000229", "App does not exist in the tenant",
			"check client_id and tenant_id in the configuration; "+
				"the app may have been deleted, or belong to another tenant or cloud"),
		number("70001 7000112", "App is disabled",
			"enable sign-in for its enterprise application in the Entra admin centre"),
		number("90002 90038 900382", "Tenant does not exist in this cloud",
			"check tenant_id, and that cloud (or endpoints) in the configuration is the tenant's"),
		number("53003 53000 530035", "A Conditional Access policy refuses the login",
			"exempt the app or this machine's address, or change the policy"),
		number("65001 650052 650056 650057 500011", "Consent for the app is missing or was removed",
			"give admin consent, or assign the role in Exchange (RBAC for Applications)"),
		number("70011 1002012", "Login and Graph belong to different clouds", adviceCloud),
		number("70021 700211 700212 700213", "Federated credential does not match the token of this workload",
			"compare issuer, subject and audience in the app registration with those of the token"),
		number("90006 90012 90024 90033", "Entra has a temporary fault", adviceWait),
		number("500021 500022", "A proxy on the way to Entra does not allow this tenant",
			"have the proxy allow the tenant (Restrict-Access-To-Tenants), or exempt this machine"),
		number("50196 90055", "Entra limits the logins of the app", adviceOften),
	}
}

// known is the better row for a number that is known.
func known(number int) (outcome.Row, bool) {
	rows := Numbers()
	i := slices.IndexFunc(rows, func(r outcome.Row) bool {
		return slices.Contains(strings.Fields(r.When), fmt.Sprintf("AADSTS%d", number))
	})
	if i < 0 {
		return outcome.Row{}, false
	}
	return rows[i], true
}

// LoginError says why there is no token. Its Answer is what a message that
// waits for the token gets.
type LoginError struct{ Answer outcome.Answer }

func (e *LoginError) Error() string { return e.Answer.Cause().String() }

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
		a := noAnswer(err)
		switch words, _, _ := strings.Cut(err.Error(), "\n"); { // below it stands the answer, token and all
		case strings.Contains(words, "json decode error"):
			known := misread(Refusals(), "", text.Foreign(words, outcome.MaxText))
			a.Text, a.Advice, a.Detail = known.Text, known.Advice, known.Detail
		case strings.Contains(words, "missing access_token"):
			known := misread(Refusals(), textNoToken, "")
			a.Text, a.Advice, a.Detail = known.Text, known.Advice, ""
		}
		return a
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
	a.Detail = "Entra answered " + outcome.Quote(resp.StatusCode, r.Error, r.Description, body)
	a.RequestID = text.Foreign(cmp.Or(r.CorrelationID, outcome.Field(resp.Header, "x-ms-request-id")), outcome.MaxWord)
	for _, n := range r.Codes {
		if row, ok := known(n); ok {
			a.Text, a.Advice = row.Text, row.Advice
			break
		}
	}
	return a
}

const textNoToken = "Answer to the login holds no token"

// misread is the answer by something that is not what rows are about, in these words
// if there are any.
func misread(rows []outcome.Row, words, detail string) outcome.Answer {
	row, _ := outcome.Find(rows, outcome.Seen{})
	row.Text = cmp.Or(words, row.Text)
	a := row.Answer()
	a.Detail = detail
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
