package entra

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// parseCertificate reads a PEM file with one RSA key (PKCS#8, encrypted or not, or
// PKCS#1) and its certificate, in any order, with further certificates of the chain; or
// a PFX file with the same. The certificate of the key comes first in the result.
// Errors continue a sentence that begins with the file's name, and end with what to do.
func parseCertificate(data []byte, password string) (*rsa.PrivateKey, []*x509.Certificate, error) {
	if block, _ := pem.Decode(data); block == nil && looksLikePFX(data) {
		return parsePFX(data, password)
	}
	return parsePEM(data, password)
}

func parsePEM(data []byte, password string) (*rsa.PrivateKey, []*x509.Certificate, error) {
	var (
		key   *rsa.PrivateKey
		certs []*x509.Certificate
		found bool
	)
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data, found = rest, true
		switch k, cert, err := parseBlock(block, password); {
		case err != nil:
			return nil, nil, err
		case cert != nil:
			certs = append(certs, cert)
		case k != nil && key != nil:
			return nil, nil, errors.New("holds more than one private key: keep the one that belongs to the certificate")
		case k != nil:
			key = k
		}
	}
	if !found {
		return nil, nil, notPEM(data)
	}
	return pair(key, certs)
}

// parseBlock reads one block; other kinds of blocks give nothing.
func parseBlock(block *pem.Block, password string) (*rsa.PrivateKey, *x509.Certificate, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, nil, errors.New("holds a private key in OpenSSL's old encryption, which is weak and not read: " +
			"encrypt it again with `openssl pkcs8 -topk8 -in old.pem -out key.pem`, " +
			"or decrypt it with `openssl pkey -in old.pem -out key.pem`")
	}
	switch block.Type {
	case "ENCRYPTED PRIVATE KEY":
		return decryptKey(block.Bytes, password)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("holds a certificate that cannot be read (%w): export it again", err)
		}
		return nil, cert, nil
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("holds an RSA key that cannot be read (%w): export it again", err)
		}
		return key, nil, nil
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("holds a private key that cannot be read (%w): export it again as PKCS#8", err)
		}
		return onlyRSA(key)
	case "EC PRIVATE KEY":
		return onlyRSA(&ecdsa.PrivateKey{})
	}
	return nil, nil, nil
}

func onlyRSA(key crypto.PrivateKey) (*rsa.PrivateKey, *x509.Certificate, error) {
	k, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("holds a key of type %T, and the login takes RSA only: "+
			"make a new RSA key and certificate, for example with `openssl req -x509 -newkey rsa:3072 -nodes`, "+
			"and upload the certificate", key)
	}
	return k, nil, nil
}

// pair checks that a key and certificates belong together, and returns them with
// the certificate of the key first.
func pair(key *rsa.PrivateKey, certs []*x509.Certificate) (*rsa.PrivateKey, []*x509.Certificate, error) {
	switch {
	case key == nil && len(certs) == 0:
		return nil, nil, errors.New("holds neither a certificate nor a private key: put both into it, as PEM")
	case key == nil:
		return nil, nil, errors.New("holds no private key: append the key's PEM block to the certificate's")
	case len(certs) == 0:
		return nil, nil, errors.New("holds no certificate: append the certificate's PEM block " +
			"(the one uploaded to the app registration) to the key's")
	}
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return key.PublicKey.Equal(c.PublicKey) })
	if i < 0 {
		return nil, nil, errors.New("holds a private key that belongs to none of its certificates: " +
			"put the certificate and the key that were made together into one file")
	}
	return key, slices.Concat(certs[i:i+1], certs[:i], certs[i+1:]), nil
}

// notPEM says what a file that is neither PEM nor PFX is likely to be.
func notPEM(data []byte) error {
	switch _, err := x509.ParseCertificate(data); {
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("is empty: put the certificate and its private key into it, as PEM")
	case err == nil:
		return errors.New("is a certificate in DER without its private key: " +
			"convert it with `openssl x509 -inform der` and append the key's PEM block")
	}
	return errors.New("holds neither PEM (-----BEGIN ...-----) nor PFX: " +
		"put the certificate and its private key into it, as PEM")
}

// adviceModern is for ciphers that no current library reads.
const adviceModern = "convert it with `openssl pkcs12 -in old.pfx -legacy -nodes -out entra.pem`, " +
	"or export it again with AES and SHA-256"

// looksLikePFX recognises a PKCS#12 file (RFC 7292) by its beginning: a sequence
// with the version, 3.
func looksLikePFX(data []byte) bool {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(data, &outer); err != nil || outer.Tag != asn1.TagSequence {
		return false
	}
	var version int
	_, err := asn1.Unmarshal(outer.Bytes, &version)
	return err == nil && version == 3
}

// parsePFX reads a PKCS#12 file: of current openssl and Windows (AES, SHA-256)
// and of older ones (3DES or RC2, SHA-1).
func parsePFX(data []byte, password string) (*rsa.PrivateKey, []*x509.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, nil, errors.New("is PFX with a password: put the password into a file, " +
			"and set certificate_password_file to it")
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, errors.New("cannot be opened with the password of certificate_password_file: " +
			"put the password of the export into that file")
	case err != nil:
		return nil, nil, fmt.Errorf("is PFX that cannot be read (%w): %s", err, adviceModern)
	}
	rsaKey, _, err := onlyRSA(key)
	if err != nil {
		return nil, nil, err
	}
	return pair(rsaKey, append([]*x509.Certificate{leaf}, chain...))
}

// decryptKey reads an encrypted PKCS#8 key (PBES2 of RFC 8018, which is what
// openssl writes).
func decryptKey(der []byte, password string) (*rsa.PrivateKey, *x509.Certificate, error) {
	if password == "" {
		return nil, nil, errors.New("holds an encrypted private key: put its password into a file and set " +
			"certificate_password_file to it, or decrypt it with `openssl pkey -in old.pem -out key.pem`")
	}
	key, _, err := pkcs8.ParsePrivateKey(der, []byte(password))
	if err != nil {
		// The library does not distinguish a wrong password from a broken key.
		return nil, nil, errors.New("holds an encrypted private key that the password of certificate_password_file " +
			"does not open: correct the password, or encrypt the key again with `openssl pkcs8 -topk8 -v2 aes-256-cbc`")
	}
	return onlyRSA(key)
}
