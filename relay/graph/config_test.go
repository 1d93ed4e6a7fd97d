package graph

import (
	"bytes"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/entra"
)

// Every mistake in a configuration is reported with its remedy and without network.
func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "secret")
	writeFile(t, good, []byte(testSecret))
	big := filepath.Join(dir, "big")
	writeFile(t, big, bytes.Repeat([]byte("x"), 256<<10+1))
	u := func(s string) *url.URL { v, _ := url.Parse(s); return v }
	base := Config{Identity: entra.Identity{TenantID: testTenant, ClientID: testApp, SecretFile: good}}
	for name, x := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no tenant":       {func(c *Config) { c.TenantID = "" }, "Directory (tenant) ID"},
		"odd tenant":      {func(c *Config) { c.TenantID = "a/b" }, "Directory (tenant) ID"},
		"common":          {func(c *Config) { c.TenantID = "Common" }, "does not name one tenant"},
		"no client":       {func(c *Config) { c.ClientID = "" }, "Application (client) ID"},
		"no credential":   {func(c *Config) { c.SecretFile = "" }, "exactly one credential"},
		"two credentials": {func(c *Config) { c.CertificateFile = good }, "exactly one credential"},
		"no file":         {func(c *Config) { c.SecretFile = filepath.Join(dir, "none") }, "correct the path"},
		"a folder":        {func(c *Config) { c.SecretFile = dir }, "must be a file"},
		"a big file":      {func(c *Config) { c.SecretFile = big }, "more than 256 KiB"},
		"three": {func(c *Config) {
			c.SecretFile, c.ManagedIdentity, c.WorkloadIdentity = "", &entra.ManagedIdentity{}, true
		}, "exactly one credential"},
		"password alone": {func(c *Config) { c.CertificatePasswordFile = good }, "without a certificate file"},
		"no token file": {func(c *Config) { c.SecretFile, c.WorkloadIdentity = "", true },
			"AZURE_FEDERATED_TOKEN_FILE"},
		"no such cloud": {func(c *Config) { c.Cloud = "mars" }, "usgov-dod"},
		"cloud, too": {func(c *Config) {
			c.Cloud, c.Login, c.Graph = "china", u("https://localhost"),
				u("https://localhost")
		}, "both a cloud"},
		"proxy and file":  {func(c *Config) { c.Proxy, c.ProxyFile = u("http://localhost:3128"), good }, "one of them"},
		"proxy password":  {func(c *Config) { c.Proxy = u("http://u:p4ss@localhost:3128") }, "into a file"},
		"socks proxy":     {func(c *Config) { c.Proxy = u("socks5://localhost:3128") }, "http://host:port"},
		"proxy with path": {func(c *Config) { c.Proxy = u("http://localhost:3128/p4ss") }, "http://host:port"},
		"no proxy file":   {func(c *Config) { c.ProxyFile = filepath.Join(dir, "none") }, "correct the path"},
		"bad proxy file":  {func(c *Config) { c.ProxyFile = good }, "holds no URL of a proxy"},
		"not PEM":         {func(c *Config) { c.SecretFile, c.CertificateFile = "", good }, "PEM"},
		"one endpoint":    {func(c *Config) { c.Graph = u("https://localhost") }, "both or neither"},
		"http login": {func(c *Config) { c.Login, c.Graph = u("http://localhost"), u("https://localhost") },
			"https://host"},
		"http graph": {func(c *Config) { c.Login, c.Graph = u("https://localhost"), u("http://localhost") },
			"https://host"},
		"user in URL": {func(c *Config) {
			c.Login, c.Graph = u("https://u:p4ss@localhost"),
				u("https://localhost")
		}, "https://host"},
		"no CA":      {func(c *Config) { c.CAFile = filepath.Join(dir, "none") }, "correct the path"},
		"CA not PEM": {func(c *Config) { c.CAFile = good }, "must be PEM"},
	} {
		cfg := base
		x.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), x.want) ||
			strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "u:p4ss") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
