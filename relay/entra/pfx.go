package entra

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

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
