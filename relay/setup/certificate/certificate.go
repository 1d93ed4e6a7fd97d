// Package certificate makes and reads the certificate with which the relay logs in:
// a new RSA key with the self-signed certificate to upload, and what a PEM, PFX or
// DER file holds. It is pure, knows no clock but the one it is given, and never
// returns or prints a private key that it has read. Every error says what to do.
package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // the thumbprint that Entra shows is SHA-1 by definition
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"

	"software.sslmate.com/src/go-pkcs12"
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
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}

// Info describes a certificate file without its key.
type Info struct {
	Form      string // "PEM", "PFX" or "DER"
	Subject   string
	Name      string // common name, as it was given
	KeyType   string // of the certificate, such as "RSA 3072"
	NotBefore time.Time
	NotAfter  time.Time
	SHA1      string // thumbprint as Entra, Graph and az list it (customKeyIdentifier): upper-case hex
	SHA256    string // upper-case hex
	HasKey    bool
	KeyFits   bool   // the private key belongs to the certificate
	Issued    bool   // by an authority: not self-signed, or with a chain
	Cer       []byte // the certificate in DER
}

// Problem returns why the relay cannot log in with the file now; "" if it can.
func (i Info) Problem(now time.Time) string {
	switch {
	case !i.HasKey:
		return "the file has no private key; use the file that `graphrelay cert new` wrote for the relay, not the " +
			"one for the upload"
	case !i.KeyFits:
		return "the private key does not belong to the certificate; use the key and certificate of one pair"
	case !strings.HasPrefix(i.KeyType, "RSA "):
		return "the login needs an RSA key; create a pair with `graphrelay cert new`"
	case now.After(i.NotAfter):
		return "the certificate expired on " + day(i.NotAfter) + "; create the next one with `graphrelay cert renew`"
	case now.Before(i.NotBefore):
		return "the certificate is not valid before " + day(i.NotBefore) + "; check the clock of this host"
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// errNoCertificate is for a file in none of the formats.
var errNoCertificate = errors.New("it contains no certificate: name a PEM file (-----BEGIN CERTIFICATE-----), a PFX " +
	"file or a .cer file")

// Read reads a PEM, PFX (PKCS#12) or DER file. The password is that of a
// PFX file. An error continues a sentence that began with the file's name.
func Read(data []byte, password string) (Info, error) {
	if block, _ := pem.Decode(data); block != nil {
		return readPEM(data)
	}
	if cert, err := x509.ParseCertificate(data); err == nil {
		return describe("DER", []*x509.Certificate{cert}, nil), nil
	}
	if !bytes.HasPrefix(data, []byte{0x30}) {
		return Info{}, errNoCertificate
	}
	key, cert, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return Info{}, errors.New("it is a PFX file with a password: write the password into a file and add " +
			"--password-file FILE")
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return Info{}, errors.New("the password does not open the PFX file: correct the password file")
	case err != nil:
		return Info{}, fmt.Errorf("it cannot be read as PFX (%w): export it again, or name another file", err)
	}
	return describe("PFX", append([]*x509.Certificate{cert}, chain...), key), nil
}

func readPEM(data []byte) (Info, error) {
	var certs []*x509.Certificate
	var key crypto.PrivateKey
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		cert, k, err := readBlock(block)
		switch {
		case err != nil:
			return Info{}, err
		case cert != nil:
			certs = append(certs, cert)
		case k != nil && key != nil:
			return Info{}, errors.New("it contains more than one private key: keep the one that belongs to the " +
				"certificate")
		case k != nil:
			key = k
		}
	}
	if len(certs) == 0 {
		return Info{}, errNoCertificate
	}
	return describe("PEM", certs, key), nil
}

// readBlock reads a certificate or a key; other blocks are ignored.
func readBlock(b *pem.Block) (*x509.Certificate, crypto.PrivateKey, error) {
	var cert *x509.Certificate
	var key crypto.PrivateKey
	var err error
	switch b.Type {
	case "CERTIFICATE":
		cert, err = x509.ParseCertificate(b.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		if b.Headers["DEK-Info"] != "" {
			return nil, nil, errEncryptedKey
		}
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, nil, errEncryptedKey
	}
	if err != nil {
		return nil, nil, fmt.Errorf("its block %q cannot be read (%w): export it again", b.Type, err)
	}
	return cert, key, nil
}

var errEncryptedKey = errors.New("its private key is encrypted: decrypt it with `openssl pkey -in old.pem -out " +
	"key.pem`, and protect the file by its mode")

// describe uses the certificate that the key belongs to, or else the first.
func describe(form string, certs []*x509.Certificate, key crypto.PrivateKey) Info {
	public := publicOf(key)
	own := func(c *x509.Certificate) bool { return public != nil && public.Equal(c.PublicKey) }
	at := slices.IndexFunc(certs, own)
	cert, fits := certs[max(at, 0)], at >= 0
	one, two := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	return Info{
		Form: form, Subject: cert.Subject.String(), Name: cert.Subject.CommonName, KeyType: keyType(cert.PublicKey),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		SHA1: fmt.Sprintf("%X", one), SHA256: fmt.Sprintf("%X", two),
		HasKey: key != nil, KeyFits: fits, Cer: cert.Raw,
		Issued: len(certs) > 1 || !bytes.Equal(cert.RawIssuer, cert.RawSubject),
	}
}

type publicKey interface{ Equal(crypto.PublicKey) bool }

func publicOf(key crypto.PrivateKey) publicKey {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil
	}
	public, _ := signer.Public().(publicKey)
	return public
}

func keyType(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	}
	return fmt.Sprintf("%T", public)
}
