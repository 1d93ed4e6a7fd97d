package renewal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// Graph is the Tenant of an app whose object ID is known.
type Graph struct {
	Config   graph.Config
	ObjectID string
}

// client makes a client that has no token yet.
func (g Graph) client(pair string) (*graph.Client, error) {
	cfg := g.Config
	cfg.CertificateFile = pair
	return graph.New(cfg)
}

// Login gets a token with the pair in a file.
func (g Graph) Login(ctx context.Context, pair string) error {
	c, err := g.client(pair)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Token(ctx)
	var e *entra.LoginError
	if errors.As(err, &e) {
		return answered(e.Answer)
	}
	return err
}

// credential is a keyCredential of Graph.
type credential struct {
	KeyID string    `json:"keyId"`
	Name  string    `json:"customKeyIdentifier"`
	Start time.Time `json:"startDateTime"`
	End   time.Time `json:"endDateTime"`
}

// key reads the thumbprint in hex, as Graph shows it, or in base64, as some tools
// store it.
func (c credential) key() Key {
	k := Key{Thumbprint: strings.ToUpper(c.Name), ID: c.KeyID, Start: c.Start, End: c.End}
	if raw, err := base64.StdEncoding.DecodeString(c.Name); err == nil && len(raw) == 20 {
		k.Thumbprint = hexUpper(raw)
	}
	return k
}

// Keys lists the certificates of the app.
func (g Graph) Keys(ctx context.Context, pair string) ([]Key, error) {
	body, err := g.call(ctx, pair, graph.Request{
		Step:   graph.Step{Name: "reading the app's certificates", Want: []int{http.StatusOK}, Aside: true},
		Method: http.MethodGet, Query: url.Values{"$select": {"keyCredentials"}},
	})
	var app struct {
		KeyCredentials []credential `json:"keyCredentials"`
	}
	if err == nil {
		err = json.Unmarshal(body, &app)
	}
	var keys []Key
	for _, c := range app.KeyCredentials {
		keys = append(keys, c.key())
	}
	return keys, err
}

// Add adds a certificate to the app, as the app itself, which takes no permission.
func (g Graph) Add(ctx context.Context, pair string, cer []byte) (Key, error) {
	body, err := g.change(ctx, pair, "addKey", "adding the certificate", http.StatusOK, map[string]any{
		"keyCredential": map[string]string{"type": "AsymmetricX509Cert", "usage": "Verify",
			"key": base64.StdEncoding.EncodeToString(cer)},
		"passwordCredential": nil,
	})
	var said credential
	if err == nil {
		_ = json.Unmarshal(body, &said) // the documents show an answer without anything in it
	}
	return said.key(), err
}

// Remove removes a certificate from the app.
func (g Graph) Remove(ctx context.Context, pair, keyID string) error {
	_, err := g.change(ctx, pair, "removeKey", "removing the certificate", http.StatusNoContent,
		map[string]any{"keyId": keyID})
	return err
}

// change calls addKey or removeKey with a proof.
func (g Graph) change(ctx context.Context, pair, action, step string, want int, body map[string]any) ([]byte, error) {
	c, err := g.client(pair)
	if err != nil {
		return nil, err
	}
	if body["proof"], err = c.Login().Proof(g.ObjectID); err != nil {
		return nil, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return g.call(ctx, pair, graph.Request{
		Step:   graph.Step{Name: step, Want: []int{want}, Aside: true},
		Method: http.MethodPost, Path: []string{action},
		Body: &graph.Body{Type: "application/json", Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}},
	})
}

// call makes a request about the app.
func (g Graph) call(ctx context.Context, pair string, q graph.Request) ([]byte, error) {
	c, err := g.client(pair)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q.Path = append([]string{"applications", g.ObjectID}, q.Path...)
	body, a := c.Do(ctx, envelope.Address{}, q)
	if a.Outcome != outcome.Delivered {
		return nil, answered(a)
	}
	return body, nil
}

// answered is an answer as an error: a Refusal where the service itself said no.
func answered(a outcome.Answer) error {
	cause := text.Cause{Headline: a.Text, Remedy: a.Advice, Detail: a.Detail}
	if c, ok := advice[a.Code]; ok {
		cause.Headline, cause.Remedy = c.Headline, c.Remedy
	}
	if a.HTTPStatus < 400 || a.HTTPStatus >= 500 || a.HTTPStatus == http.StatusTooManyRequests ||
		a.HTTPStatus == http.StatusRequestTimeout || a.Code == "" {
		return cause
	}
	return &Refusal{Code: a.Code, Cause: cause}
}

// advice is what the answers to changes of keys mean.
var advice = map[string]text.Cause{
	"Authentication_MissingOrMalformed": {Headline: "Graph does not take the proof for the app's certificate",
		Remedy: "check app_object_id (Object ID on the overview page of the app registration) and this host's clock"},
	lifetimeCode: {Headline: "The tenant's policy allows no certificate that lives so long",
		Remedy: "a shorter one is tried; if that fails, see Entra ID > App management policies"},
	"CredentialTypeNotAllowedAsPerAppPolicy": {Headline: "The tenant's policy allows the app no new certificate",
		Remedy: "renew it by hand (graphrelay cert renew), or exempt the app: Entra ID > App management policies"},
	"Request_ResourceNotFound": {Headline: "There is no app registration with this object ID",
		Remedy: "correct app_object_id: Object ID on the overview page of the app registration"},
}

func hexUpper(raw []byte) string { return strings.ToUpper(hex.EncodeToString(raw)) }
