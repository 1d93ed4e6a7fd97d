package entra

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

func TestManagedIdentity(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for name, x := range map[string]struct {
		asked    ManagedIdentity
		assigned []string
		works    bool
	}{
		"system-assigned":        {ManagedIdentity{}, nil, true},
		"user-assigned":          {ManagedIdentity{sandbox.DefaultClientID}, nil, true},
		"another user-assigned":  {ManagedIdentity{sandbox.DefaultClientID}, []string{""}, false},
		"no identity of its own": {ManagedIdentity{}, []string{sandbox.DefaultClientID}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, cfg := imitated(t, sandbox.Options{MachineIdentities: x.assigned})
			cfg.ManagedIdentity = &x.asked
			c := mustNew(t, cfg)
			atMetadata(t, d, c)
			if x.works {
				delivers(t, c)
				// The library's cache outlives the login; a refused token must not come back.
				d.ForgetTokens()
				delivers(t, c)
				if i := c.Credential(); i.Kind != KindManaged {
					t.Errorf("%+v", i)
				}
				return
			}
			a := refusedLogin(t, c)
			if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.HTTPStatus != 400 ||
				!strings.Contains(a.Detail, "Identity not found") || !strings.Contains(a.Advice, "assign") {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestManagedIdentityWithoutAzure(t *testing.T) {
	_, cfg := imitated(t, sandbox.Options{})
	cfg.ManagedIdentity = &ManagedIdentity{}
	c := mustNew(t, cfg)
	c.metadata.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	a := refusedLogin(t, c)
	if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity ||
		!strings.Contains(a.Advice, "169.254.169.254") || strings.Contains(a.Text, "aka.ms") {
		t.Errorf("%+v", a)
	}
}

func TestWorkloadIdentity(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	path := filepath.Join(t.TempDir(), "token")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", path)
	federated := func(lifetime time.Duration) string {
		token, err := d.FederatedToken(lifetime)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, []byte(token+"\n"))
		return token
	}
	expired := federated(-time.Hour)
	cfg.WorkloadIdentity = true
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	var later atomic.Int64
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	c := mustNew(t, cfg)
	a := refusedLogin(t, c)
	if a.Outcome != outcome.Hold || !strings.Contains(a.Detail, "AADSTS700024") ||
		!strings.Contains(log.String(), "expired") || strings.Contains(a.Cause().String()+log.String(), expired) {
		t.Errorf("%+v\n%s", a, &log)
	}
	federated(time.Hour) // renewed in its file by the kubelet: no restart, no reload
	later.Store(int64(failurePause))
	delivers(t, c)
	if i := c.Credential(); i.Kind != KindWorkload || !i.NotAfter.IsZero() {
		t.Errorf("%+v", i)
	}
	writeFile(t, path, []byte("no token"))
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "holds no token") {
		t.Error(err)
	}
}
