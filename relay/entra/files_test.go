package entra

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What openssl writes, see testdata/credentials/make.sh.
func TestCredentialFilesOfOpenSSL(t *testing.T) {
	const password = "pass word-ü"
	for name, x := range map[string]struct {
		password string
		certs    int    // read
		want     string // part of the refusal
	}{
		"pkcs1.pem":                    {certs: 1},
		"pkcs8.pem":                    {certs: 1},
		"chain.pem":                    {certs: 2},
		"encrypted.pem":                {password: password, certs: 1},
		"encrypted-3des.pem":           {password: password, certs: 1},
		"encrypted-scrypt.pem":         {password: password, certs: 1},
		"modern.pfx":                   {password: password, certs: 2},
		"legacy.pfx":                   {password: password, certs: 2},
		"no-password.pfx":              {certs: 1},
		"encrypted.pem wrong":          {password: "hunter2", want: "does not open"},
		"encrypted.pem without":        {want: "certificate_password_file"},
		"encrypted-pbes1.pem":          {password: password, want: "-v2 aes-256-cbc"},
		"encrypted-traditional.pem":    {password: password, want: "openssl pkcs8 -topk8"},
		"modern.pfx wrong":             {password: "hunter2", want: "cannot be opened with the password"},
		"legacy.pfx wrong":             {password: "hunter2", want: "cannot be opened with the password"},
		"modern.pfx without":           {want: "is PFX with a password"},
		"no-key.pfx":                   {password: password, want: "is PFX that cannot be read"},
		"ec-sec1.pem":                  {want: "RSA only"},
		"ec-pkcs8.pem":                 {want: "RSA only"},
		"ec-encrypted.pem":             {password: password, want: "RSA only"},
		"ec.pfx":                       {password: password, want: "RSA only"},
		"pkcs8.pem needs no password ": {password: password, certs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, " ")
			data, err := os.ReadFile(filepath.Join("testdata", "credentials", file))
			if err != nil {
				t.Fatal(err)
			}
			key, chain, err := parseCertificate(data, x.password)
			switch {
			case x.want == "" &&
				(err != nil || key == nil || len(chain) != x.certs || chain[0].Subject.CommonName != "graphrelay test"):
				t.Errorf("%d certificates, %v", len(chain), err)
			case x.want != "" &&
				(err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "hunter2") ||
					strings.Contains(err.Error(), password)):
				t.Errorf("error %v, want %q", err, x.want)
			}
		})
	}
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	for in, want := range map[string]string{"a b \n": "a b ", "\xef\xbb\xbfab\r\n": "ab", "ab": "ab", "": ""} {
		writeFile(t, path, []byte(in))
		if got, err := loadPassword(path); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	writeFile(t, path, []byte("hunter2\nnote"))
	if _, err := loadPassword(path); err == nil || !strings.Contains(err.Error(), "more than one line") ||
		strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func FuzzExpiryOfJWT(f *testing.F) {
	f.Add("e30.e30.x")
	f.Add("a.eyJleHAiOjE3MDAwMDAwMDB9.b")
	f.Add("a.eyJleHAiOjFlMzAwfQ.b")
	f.Fuzz(func(t *testing.T, s string) {
		if expires, ok := expiryOfJWT(s); !ok && !expires.IsZero() || ok && expires.Year() > 40_000 {
			t.Fatal(expires, ok)
		}
	})
}
