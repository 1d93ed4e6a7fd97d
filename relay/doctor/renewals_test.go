package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/setup/certificate"
)

// check says which certificates cannot renew themselves.
func TestJudgesRenewals(t *testing.T) {
	dir := t.TempDir()
	c, err := config.Parse("f", []byte(`
identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: entra.pem
    certificate_renewal: auto
    app_object_id: 33333333-3333-3333-3333-333333333333
senders: [{address: a@contoso.com}]
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certificate.New(certificate.Request{Name: "relay", Days: 365, Bits: 2048, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Index(string(pair.PEM), "-----BEGIN PRIVATE")
	file := filepath.Join(dir, "entra.pem")
	for name, row := range map[string]struct {
		data []byte
		want string
	}{
		"its own":         {pair.PEM, ""},
		"without its key": {pair.PEM[:key], "lacks the key"},
		"with a chain":    {slices.Concat(pair.PEM, pair.PEM[:key]), "authority"},
	} {
		if err := os.WriteFile(file, row.data, 0o640); err != nil {
			t.Fatal(err)
		}
		found := checkRenewals(c)
		if row.want == "" && len(found) != 0 ||
			row.want != "" && (len(found) != 1 || !strings.Contains(found[0].Wrong, row.want)) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
