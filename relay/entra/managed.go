package entra

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// How long the metadata service of an Azure machine is waited for: it answers
// at once or is not there. A few tries, because its document asks for them at
// 404, 410, 429 and 5xx; all within the time limit of a login.
const (
	metadataConnect = 3 * time.Second
	metadataTry     = 7 * time.Second
	metadataTries   = 3
)

// metadata is the way to the metadata service: a link-local address in clear text, so
// never through a proxy, without redirects, and with bounded answers. It remembers the
// last answer, which azidentity keeps to itself. One login uses it, in one goroutine.
type metadata struct {
	transport http.RoundTripper
	last      *http.Response // its body is in memory
}

// MetadataServer is the address of the metadata service: that of a virtual machine, or
// what Azure Arc or the environment names.
func MetadataServer() string {
	const machine, arc = "http://169.254.169.254", "http://127.0.0.1:40342"
	switch source, _ := managedidentity.GetSource(); source {
	case managedidentity.AppService, managedidentity.ServiceFabric:
		return os.Getenv("IDENTITY_ENDPOINT")
	case managedidentity.AzureML, managedidentity.CloudShell:
		return os.Getenv("MSI_ENDPOINT")
	case managedidentity.AzureArc:
		return cmp.Or(os.Getenv("IDENTITY_ENDPOINT"), arc)
	}
	return machine
}

// MetadataRemedy is what to do where it does not answer.
const MetadataRemedy = "managed_identity works on machines of Azure only (or under Azure Arc): check that this is " +
	"one, and that nothing blocks 169.254.169.254"

func newMetadataTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: metadataConnect}).DialContext,
		DisableKeepAlives:      true, // a login an hour
		ResponseHeaderTimeout:  metadataTry,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// RoundTrip implements http.RoundTripper.
func (m *metadata) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, outcome.MaxBody))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	kept := *resp
	resp.Body, kept.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	m.last = &kept
	return resp, nil
}

// managedToken fetches a token of the machine's identity.
func (l *Login) managedToken(ctx context.Context) (azcore.AccessToken, error) {
	via := &metadata{transport: l.metadata}
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: policy.ClientOptions{
		Transport: &http.Client{
			Transport:     via,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retry: policy.RetryOptions{
			MaxRetries: metadataTries - 1, RetryDelay: l.metadataRetry,
			MaxRetryDelay: 5 * time.Second, TryTimeout: metadataTry,
		},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}}
	if id := l.cfg.ManagedIdentity.ClientID; id != "" {
		options.ID = azidentity.ClientID(id)
	}
	cred, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	// Claims are not passed on, but keep the library from its cache, which
	// outlives this credential: after a 401 it would hand out the same token.
	at, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{l.cfg.Scope}, Claims: "{}"})
	if err != nil {
		return azcore.AccessToken{}, &LoginError{refusedByMetadata(err, via.last, l.cfg.Now())}
	}
	return at, nil
}

// refusedByMetadata says what a refusal of the metadata service means. resp is
// nil where nothing answered.
func refusedByMetadata(err error, resp *http.Response, now time.Time) outcome.Answer {
	if resp == nil {
		a := outcome.On("", "", "").Retry(identity, "4.4.1",
			"Metadata service of this machine does not answer",
			MetadataRemedy).Answer()
		a.Detail = text.Foreign(ErrorText(err), outcome.MaxText)
		return a
	}
	if resp.StatusCode == http.StatusOK { // the token may be in it
		return misread(MetadataRefusals(), textNoToken, "")
	}
	body, _ := io.ReadAll(resp.Body)
	a := judge(MetadataRefusals(), resp, now)
	a.Code = text.Foreign(readRefusal(body).Error, outcome.MaxWord)
	a.Detail = "the metadata service answered " + outcome.Quote(resp.StatusCode, "", "", body)
	return a
}
