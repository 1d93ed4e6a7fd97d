package entra

import (
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// Each row for the metadata service, with the status that the row names; time
// limits are short, because the service asks for tries at some of them.
func TestEveryAnswerOfTheMetadataService(t *testing.T) {
	for _, f := range MetadataRefusals() {
		t.Run(f.Text, func(t *testing.T) {
			t.Parallel()
			httpStatus := map[string]int{"": 418, "429": 429, "404 410 408 5xx": 404, "400": 400,
				"401 403": 403}[f.HTTP]
			d, cfg := imitated(t, sandbox.Options{})
			cfg.ManagedIdentity = &ManagedIdentity{}
			c := mustNew(t, cfg)
			atMetadata(t, d, c)
			c.metadataRetry = time.Millisecond
			if err := d.Inject(sandbox.Fault{Endpoint: "metadata", Status: httpStatus, RetryAfter: 0,
				Body: `{"error":"no","error_description":"not today"}`}); err != nil {
				t.Fatal(err)
			}
			a := refusedLogin(t, c)
			if a.Outcome != f.Outcome || a.Scope != outcome.ScopeIdentity || a.Status != f.Status ||
				a.Advice != f.Advice || a.HTTPStatus != httpStatus || a.Code != "no" {
				t.Errorf("%+v\nwant %+v", a, f)
			}
			tries := d.Stats().Answers["metadata"][httpStatus]
			if want := map[outcome.Outcome]int{outcome.Retry: metadataTries,
				outcome.Hold: 1}[f.Outcome]; tries != want {
				t.Errorf("%d tries, want %d", tries, want)
			}
		})
	}
}
