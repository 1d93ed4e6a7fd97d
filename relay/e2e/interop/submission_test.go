//go:build interop

package interop_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// arrived is what a submission server says of a message.
type arrived struct {
	Port   int
	User   string
	From   string
	To     []string
	Size   int64
	SHA256 string
}

// TestSubmissionToForeignServers: 100 MB, and 30 MB of a signed message, arrive at servers
// that other people wrote, each byte as it was, with the envelope and the login.
func TestSubmissionToForeignServers(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, cert, key string) *bufio.Reader{
		"smtp-server": script(foreign.SMTPServer(t), "testdata/submission.js"),
		"aiosmtpd":    script(foreign.Aiosmtpd(t), "testdata/submission.py"),
		"Postfix":     postfixSubmission,
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := selfSigned(t, t.TempDir())
			lines := start(t, cert, key)
			port := read(t, lines).Port
			d := harness.StartDouble(t, func(o *sandbox.Options) { o.Granted = []string{"SMTP.SendAsApp"} })
			r := harness.NewRelay(t, d, harness.SubmissionAt(fmt.Sprintf("127.0.0.1:%d", port)),
				harness.With("delivery", "large_messages: smtp", "id_header: false"),
				harness.With("smtp", "max_message_size: 149MiB", "received: off"))
			trust(t, filepath.Join(r.Dir, "ca.pem"), cert)
			r.Start()
			harness.Hello(t, r.Addr).Send(harness.Sender, []string{"a@example.org"},
				"From: "+harness.Sender+"\r\n\r\nsmall\r\n")
			d.WaitFor(t, 1, patience)
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(r.Tail())
				}
			})
			before := r.Memory("VmRSS")
			for _, megabytes := range []int{30, 100} {
				sum, size := sendSigned(t, r.Addr, megabytes)
				got := read(t, lines)
				if got.SHA256 != sum || got.Size != size || got.User != harness.Sender || got.From != harness.Sender ||
					strings.Join(got.To, " ") != "a@example.org hidden@example.org" {
					t.Errorf("%d MB: arrived %+v, want %s of %d bytes", megabytes, got, sum, size)
				}
			}
			r.WaitEmpty(time.Minute)
			if added := r.Memory("VmHWM") - before; added > 64<<10 {
				t.Errorf("they cost %d KiB of memory, more than 64 MiB", added)
			}
		})
	}
}

// script is a server that says on standard output what arrives.
func script(program foreign.Program, file string) func(t *testing.T, cert, key string) *bufio.Reader {
	return func(t *testing.T, cert, key string) *bufio.Reader {
		cmd := program(file, cert, key)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return bufio.NewReader(out)
	}
}

func read(t *testing.T, lines *bufio.Reader) (a arrived) {
	t.Helper()
	type said struct {
		line string
		err  error
	}
	got := make(chan said, 1)
	go func() { line, err := lines.ReadString('\n'); got <- said{line, err} }()
	select {
	case s := <-got:
		if s.err == nil {
			s.err = json.Unmarshal([]byte(s.line), &a)
		}
		if s.err != nil {
			t.Fatalf("the server says %q, %v", s.line, s.err)
		}
	case <-time.After(2 * patience):
		t.Fatal("the server says nothing")
	}
	return a
}

// sendSigned sends a message of the form of S/MIME, and returns its digest and size.
func sendSigned(t *testing.T, addr string, megabytes int) (sum string, size int64) {
	t.Helper()
	c := harness.Hello(t, addr)
	defer c.Close()
	c.Envelope(harness.Sender, "a@example.org", "hidden@example.org")
	hash := sha256.New()
	write := func(text string) {
		size += int64(len(text))
		_, _ = io.WriteString(hash, text)
		if err := c.Raw(strings.ReplaceAll(text, "\r\n.", "\r\n..")); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf("From: %s\r\nTo: a@example.org, outsider@example.org\r\n"+
		"Date: Mon, 30 Nov 2026 07:00:00 +0000\r\nMessage-ID: <%d@signed>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/signed; boundary=B;\r\n protocol=\"application/pkcs7-signature\"; micalg=sha-256\r\n"+
		"\r\n--B\r\n\r\n.dot\r\n..\r\n", harness.Sender, megabytes))
	line := strings.Repeat("MIIabc+/", 9) + "\r\n"
	for range megabytes {
		write(strings.Repeat(line, 1<<20/len(line)))
	}
	write("--B\r\nContent-Type: application/pkcs7-signature\r\n\r\n" + line + "--B--\r\n")
	_ = c.Raw(".\r\n")
	c.Want(c.Read(), 250)
	return hex.EncodeToString(hash.Sum(nil)), size
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "submission"},
		IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	harness.WriteFile(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	harness.WriteFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return cert, key
}

// trust adds a certificate to a file of them.
func trust(t *testing.T, file, cert string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, file, string(old)+string(more))
}
