// Package certificate makes and reads the certificate with which the relay logs in:
// a new RSA key with the self-signed certificate to upload, and what a PEM, PFX
// or DER file holds. It is pure, knows no clock but the one it is given, and
// never returns or prints a private key that it has read. Every error says what
// to do.
package certificate

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"
)

// Request describes the key pair to create.
type Request struct {
	Name string    // common name, as Entra lists it
	Days int       // validity; Entra accepts any, Microsoft advises a year or two
	Bits int       // of the RSA key; the login needs RSA
	Now  time.Time // start of the validity, less a few minutes for clocks that differ
}

// Pair is a new key with its self-signed certificate.
type Pair struct {
	PEM  []byte // certificate and private key, for the relay alone
	Cer  []byte // the certificate in DER, for the upload; public
	Info Info
}

// clockRoom is how far the clocks of the host and of Entra may differ.
const clockRoom = 5 * time.Minute

// Check returns what is wrong with the request.
func (r Request) Check() error {
	switch {
	case r.Name == "" || len(r.Name) > 64:
		return fmt.Errorf("the name %q cannot be a common name: write 1 to 64 characters", r.Name)
	case strings.ContainsFunc(r.Name, func(c rune) bool { return c == unicode.ReplacementChar || !unicode.IsPrint(c) }):
		return fmt.Errorf("the name %q has a character that cannot be shown: write another name", r.Name)
	case r.Days < 1 || r.Days > 3650:
		return fmt.Errorf("a validity of %d days is out of range: write 1 to 3650", r.Days)
	case r.Bits < 2048 || r.Bits > 8192:
		return fmt.Errorf("an RSA key of %d bits is out of range: write 2048 to 8192", r.Bits)
	}
	return nil
}

// New creates a key pair.
func New(r Request) (Pair, error) {
	if err := r.Check(); err != nil {
		return Pair{}, err
	}
	key, err := rsa.GenerateKey(rand.Reader, r.Bits)
	if err != nil {
		return Pair{}, fmt.Errorf("make the RSA key: %w", err)
	}
	der, err := selfSigned(r, key)
	if err != nil {
		return Pair{}, err
	}
	text, err := encodePair(der, key)
	if err != nil {
		return Pair{}, err
	}
	info, err := Read(text, "")
	return Pair{PEM: text, Cer: der, Info: info}, err
}

func selfSigned(r Request, key *rsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: r.Name},
		NotBefore:             r.Now.Add(-clockRoom),
		NotAfter:              r.Now.AddDate(0, 0, r.Days),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	return der, nil
}

func encodePair(der []byte, key *rsa.PrivateKey) ([]byte, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the RSA key: %w", err)
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := pem.Encode(&b, block); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
