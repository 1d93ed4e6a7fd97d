package entra_test

import (
	"testing"

	"graphrelay/relay/entra"
)

// The metadata service is where the login asks: on a virtual machine, or where the environment says it is.
func TestMetadataServer(t *testing.T) {
	for name, row := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"a virtual machine": {nil, "http://169.254.169.254"},
		"App Service": {map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:41/msi", "IDENTITY_HEADER": "x"},
			"http://127.0.0.1:41/msi"},
		"Azure ML": {map[string]string{"MSI_ENDPOINT": "http://127.0.0.1:42/", "MSI_SECRET": "x"},
			"http://127.0.0.1:42/"},
		"Cloud Shell": {map[string]string{"MSI_ENDPOINT": "http://127.0.0.1:43/"}, "http://127.0.0.1:43/"},
		"Azure Arc": {map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:44/",
			"IMDS_ENDPOINT": "http://127.0.0.1:45/"}, "http://127.0.0.1:44/"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET",
				"IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT"} {
				t.Setenv(key, row.environment[key])
			}
			if got := entra.MetadataServer(); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}
