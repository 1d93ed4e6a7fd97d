package renewal

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup/certificate"
)

// tenanted is a relay at the sandbox tenant, whose certificate ends in three weeks.
type tenanted struct {
	t    *testing.T
	d    *sandbox.Double
	key  *rsa.PrivateKey // of each of its certificates
	dir  string
	file string
	g    Graph
	now  time.Time // of the renewal

	service service
}

var theRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newTenanted(t *testing.T) *tenanted {
	t.Helper()
	d, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	x := &tenanted{t: t, d: d, key: theRSAKey(), dir: quick(t), now: time.Now()}
	x.file = filepath.Join(x.dir, "entra.pem")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	x.put(ca, d.CAPEM())
	endpoint, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	x.g = Graph{ObjectID: sandbox.DefaultObjectID, Config: graph.Config{Name: "contoso", CAFile: ca, Login: endpoint,
		Graph: endpoint}}
	x.g.Config.Identity = entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID(), CertificateFile: x.file}
	x.renewByHand(345)
	return x
}

func (x *tenanted) put(file string, data []byte) {
	x.t.Helper()
	if err := os.WriteFile(file, data, 0o640); err != nil {
		x.t.Fatal(err)
	}
}

// pair is certificate.New with the one key, which saves seconds.
func (x *tenanted) pair(r certificate.Request) (certificate.Pair, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return certificate.Pair{}, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: r.Name},
		NotBefore: r.Now.Add(-5 * time.Minute), NotAfter: r.Now.AddDate(0, 0, r.Days)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, x.key.Public(), x.key)
	if err != nil {
		return certificate.Pair{}, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(
		&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(x.key)})...)
	info, err := certificate.Read(text, "")
	return certificate.Pair{PEM: text, Cer: der, Info: info}, err
}

// renewByHand makes a certificate of a year, which began some days ago, uploads it and
// puts it in place.
func (x *tenanted) renewByHand(began int) {
	x.t.Helper()
	p, err := x.pair(certificate.Request{Name: "relay", Days: 365, Now: time.Now().AddDate(0, 0, -began)})
	if err != nil {
		x.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(p.Cer)
	if err != nil {
		x.t.Fatal(err)
	}
	x.d.SetCertificates(cert)
	x.put(x.file, p.PEM)
}

// service is one that sends mail with each certificate, and verifies unless it is
// broken.
type service struct{ broken error }

func (service) Sent(context.Context, string) bool { return true }
func (s service) Verify(context.Context) error    { return s.broken }

func (x *tenanted) roller() *Roller {
	return New(Config{Identity: "contoso", File: x.file, Tenant: x.g, Service: x.service, New: x.pair,
		Now: func() time.Time { return x.now }})
}

// steps takes the steps that are due, as `graphrelay cert roll` does, and says what
// alarm there is some hours later.
func (x *tenanted) steps() string {
	x.t.Helper()
	r := x.roller()
	for range 5 {
		if _, _, err := r.Step(x.t.Context()); err != nil {
			return err.Error()
		}
	}
	x.now = x.now.Add(failsFor + time.Hour)
	return r.Report().Cause
}

func (x *tenanted) alarm() string { return x.roller().Report().Cause }

// switched takes the steps until the certificate that follows is in force, and says
// what alarm there is some hours later.
func (x *tenanted) switched() string {
	x.t.Helper()
	for range 30 {
		if _, next, err := x.roller().Step(x.t.Context()); err != nil {
			x.t.Fatal(err)
		} else if x.now.Before(next) {
			x.now = next
		}
	}
	return x.steps()
}

// Each remedy is followed as it is written, and the fault that it is for is gone.
func TestRemediesAreFollowed(t *testing.T) {
	const byHand = "renew it by hand (graphrelay cert renew), or "
	for name, row := range map[string]struct {
		remedy string
		broken func(x *tenanted)
		see    func(x *tenanted) string // the alarm, "" for none
		follow func(x *tenanted)
	}{
		"another app's object ID": {"correct app_object_id: Object ID on the overview page of the app registration",
			func(x *tenanted) { x.g.ObjectID = "44444444-4444-4444-4444-444444444444" }, (*tenanted).steps,
			func(x *tenanted) { x.g.ObjectID = sandbox.DefaultObjectID }},
		"a clock that proves nothing": {"check app_object_id (Object ID on the overview page of the app " +
			"registration) and this host's clock",
			func(x *tenanted) {
				x.g.Config.Now = func() time.Time { return time.Now().Add(8 * time.Minute) }
			}, (*tenanted).steps, func(x *tenanted) { x.g.Config.Now = nil }},
		"a policy against new certificates, exempted": {byHand + "exempt the app: Entra ID > App management policies",
			func(x *tenanted) { x.d.SetKeyRules(sandbox.KeyRules{Blocked: true}) }, (*tenanted).steps,
			func(x *tenanted) { x.d.SetKeyRules(sandbox.KeyRules{}) }},
		"no answer": {"it is tried again; graphrelay cert show FILE has the history",
			func(x *tenanted) { x.service.broken = errors.New("the service does not answer") }, (*tenanted).switched,
			func(x *tenanted) {
				n, _ := ReadNote(x.file)
				if last := n.Events[len(n.Events)-1].String(); !strings.HasSuffix(last, "the service does not answer") {
					x.t.Errorf("the history ends with %s", last)
				}
				x.service.broken = nil
			}},
		"a path that is wrong": {"correct its path or mode", func(x *tenanted) { x.move("entra.pem", "other.pem") },
			(*tenanted).steps, func(x *tenanted) { x.file = filepath.Join(x.dir, "other.pem") }},
		"a file without a key": {byHand + "set certificate_renewal: off",
			func(x *tenanted) {
				data, _ := os.ReadFile(x.file)
				block, _ := pem.Decode(data)
				x.put(x.file, pem.EncodeToMemory(block))
			}, (*tenanted).steps, func(x *tenanted) { x.renewByHand(0) }},
		"a note that is garbled": {"let the service read it; graphrelay cert roll replaces a damaged one",
			func(x *tenanted) { x.put(NotePath(x.file), []byte("{")) }, (*tenanted).alarm,
			func(x *tenanted) { _ = x.steps() }},
		"a key pair that was lost": {"the renewal continues by itself; find out what changes the files beside " +
			"certificate_file", func(x *tenanted) {
			_ = x.steps()
			x.remove(folderOf(x.file).next)
		}, (*tenanted).steps, func(x *tenanted) { _ = x.switched() }},
		"nobody renews it": {"run graphrelay cert roll as root, by: systemctl enable --now graphrelay-cert-roll.timer",
			func(x *tenanted) { x.now = x.now.AddDate(0, 0, 19) },
			(*tenanted).alarm, func(x *tenanted) { _ = x.steps() }},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenanted(t)
			row.broken(x)
			if got := row.see(x); !strings.Contains(got, "; "+row.remedy) {
				t.Fatalf("%q does not say %q", got, row.remedy)
			}
			row.follow(x)
			if got := row.see(x); got != "" {
				t.Errorf("after %q there is still %s", row.remedy, got)
			}
		})
	}
}

func (x *tenanted) move(from, to string) {
	x.t.Helper()
	if err := os.Rename(filepath.Join(x.dir, from), filepath.Join(x.dir, to)); err != nil {
		x.t.Fatal(err)
	}
}

func (x *tenanted) remove(file string) {
	x.t.Helper()
	if err := os.Remove(file); err != nil {
		x.t.Fatal(err)
	}
}

// Where Graph fails, the alarm is about the certificate and not about a message.
func TestAFaultOfGraphIsNotThatOfAMessage(t *testing.T) {
	x := newTenanted(t)
	if err := x.d.Inject(sandbox.Fault{Endpoint: "addKey", Status: 500}); err != nil {
		t.Fatal(err)
	}
	got := x.steps()
	if !strings.HasPrefix(got, "Microsoft 365 has a temporary fault; ") || strings.Contains(got, "Sent Items") {
		t.Error(got)
	}
	x.d.ClearFaults()
	if got := x.steps(); got != "" {
		t.Error(got)
	}
}
