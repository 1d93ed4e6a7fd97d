package entra

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// federatedTokenFile is where Kubernetes' webhook for workload identities, and
// others after its model, put the token of the pod.
func federatedTokenFile() string { return os.Getenv("AZURE_FEDERATED_TOKEN_FILE") }

// loadAssertion reads the federated token. Whoever wrote it renews it: it is
// read again for each login.
func loadAssertion(path string) (credential, error) {
	if path == "" {
		return credential{}, errors.New("workload identity needs the variable AZURE_FEDERATED_TOKEN_FILE: " +
			"in Kubernetes label the pod azure.workload.identity/use: \"true\"; " +
			"elsewhere set it to the file of the token")
	}
	data, err := ReadFile("federated token", path)
	if err != nil {
		return credential{}, err
	}
	token := strings.TrimSpace(string(data))
	expires, ok := expiryOfJWT(token)
	if !ok {
		return credential{}, fmt.Errorf("federated token file %s holds no token (a JWT): "+
			"check what writes it, and correct AZURE_FEDERATED_TOKEN_FILE", path)
	}
	return credential{kind: KindWorkload, assertion: token, expires: expires}, nil
}

// expiryOfJWT reads exp without verifying the token, which is Entra's work;
// zero where there is none.
func expiryOfJWT(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, " \t\r\n") {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	var claims struct{ Exp float64 }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}, false
	}
	if claims.Exp <= 0 || claims.Exp > 1<<40 {
		return time.Time{}, true
	}
	return time.Unix(int64(claims.Exp), 0), true
}
