package sandbox_test

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/sandbox"
)

func TestAzidentitySecret(t *testing.T) {
	d := start(t, sandbox.Options{})
	credential, err := azidentity.NewClientSecretCredential(d.TenantID(), d.ClientID(), d.Secret(), &azidentity.ClientSecretCredentialOptions{ClientOptions: azure(d), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
	if err != nil {
		t.Fatal(err)
	}
	c := signIn(t, d)
	c.token = token.Token
	if g := c.send(mailbox, simple); g.status != 202 || len(g.body) != 0 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if m := d.Messages(); len(m) != 1 || m[0].Recipients[0] != "a@example.com" {
		t.Fatalf("%+v", m)
	}
}
