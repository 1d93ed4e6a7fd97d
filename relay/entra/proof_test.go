package entra

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/sandbox"
)

// A proof is what Graph wants for adding a key, and a certificate with whose token a
// message was sent is known to work.
func TestACertificateProvesItself(t *testing.T) {
	key, cert := selfSigned(t, time.Now().AddDate(0, 0, 20))
	_, next := selfSigned(t, time.Now().AddDate(1, 0, 0))
	d, cfg := imitated(t, sandbox.Options{Certificates: []*x509.Certificate{cert}})
	cfg.CertificateFile = filepath.Join(t.TempDir(), "entra.pem")
	writeFile(t, cfg.CertificateFile, []byte(pkcs8PEM(t, key)+
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))))
	l := mustNew(t, cfg)
	at, err := l.GetToken(within10s(t), policy.TokenRequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if l.Sent("another token"); l.Credential().Sent {
		t.Error("nothing was sent, and the certificate counts as used")
	}
	if l.Sent(at.Token); !l.Credential().Sent {
		t.Error("a message was sent, and the certificate does not count as used")
	}
	proof, err := l.Proof(sandbox.DefaultObjectID)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]any{"proof": proof, "keyCredential": map[string]string{
		"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.StdEncoding.EncodeToString(next.Raw)}})
	u := cfg.Endpoints.Graph.JoinPath("v1.0/applications", sandbox.DefaultObjectID, "addKey").String()
	req, _ := http.NewRequestWithContext(within10s(t), http.MethodPost, u, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+at.Token)
	resp, err := cfg.Route.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK || len(d.Keys()) != 2 {
		t.Errorf("%d, %d keys", resp.StatusCode, len(d.Keys()))
	}
}
