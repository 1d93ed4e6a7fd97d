package charttest

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is the part of a JSON schema that the tests walk.
type schema struct {
	Description string
	Type        any
	Properties  map[string]schema
	Items       *schema
	Additional  any `json:"additionalProperties"`
}

// leaves calls do with each value of the schema, by the way to it.
func (s schema) leaves(at []string, do func(at []string, s schema)) {
	if s.Properties == nil && (s.Items == nil || s.Items.Properties == nil) {
		do(at, s)
		return
	}
	for name, p := range s.Properties {
		p.leaves(append(slices.Clone(at), name), do)
	}
	if s.Items != nil {
		s.Items.leaves(append(slices.Clone(at), "0"), do)
	}
}

// without is a copy of values without the one at a way; ok says whether it was there.
func without(values any, at []string) (rest any, ok bool) {
	switch v := values.(type) {
	case map[string]any:
		below, there := v[at[0]]
		if !there {
			return nil, false
		}
		v = maps.Clone(v)
		if len(at) == 1 {
			delete(v, at[0])
			return v, true
		}
		v[at[0]], ok = without(below, at[1:])
		return v, ok
	case []any:
		v = slices.Clone(v)
		v[0], ok = without(v[0], at[1:])
		return v, ok
	}
	return nil, false
}

// Each value that the schema knows is described, set by an example, and changes what
// is rendered.
func TestEveryValueHasAnEffect(t *testing.T) {
	b, err := os.ReadFile("../values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	all, n, whole := cases(t), 0, map[string]string{}
	for name, values := range all {
		whole[name] = together(rendered(t, values))
	}
	s.leaves(nil, func(at []string, s schema) {
		n++
		way := strings.Join(at, ".")
		if s.Description == "" {
			t.Errorf("%s has no description", way)
		}
		set, effect := false, false
		for name, values := range all {
			rest, there := without(values, at)
			if !there {
				continue
			}
			set = true
			files, err := template(rest.(map[string]any)) // an error is an effect, too: the value is needed
			effect = effect || err != nil || together(files) != whole[name]
		}
		if !set || !effect {
			t.Errorf("%s: set by an example: %v; changes what is rendered: %v", way, set, effect)
		}
	})
	if n < 40 {
		t.Errorf("only %d values: the walk is broken", n)
	}
}

// A value that is unknown, or of another kind, is refused by its name; so is a
// configuration that the pod cannot run with.
func TestMistakesAreRefused(t *testing.T) {
	config := read(t, "../values.yaml")["config"].(string)
	edited := func(old, with string) map[string]any {
		if !strings.Contains(config, old) {
			t.Fatalf("no %q in the configuration", old)
		}
		return map[string]any{"config": strings.Replace(config, old, with, 1)}
	}
	in := func(section, key string, value any) map[string]any {
		return map[string]any{section: map[string]any{key: value}}
	}
	for want, values := range map[string]map[string]any{
		"'replicas' not allowed":         {"replicas": 2},
		"'pullSecret' not allowed":       in("image", "pullSecret", "x"),
		"'/image/pullPolicy'":            in("image", "pullPolicy", "Sometimes"),
		"'/persistence/accessMode'":      in("persistence", "accessMode", "ReadWriteMany"),
		"'/persistence/size'":            in("persistence", "size", "much"),
		"'/service/type'":                in("service", "type", "ExternalName"),
		"'/networkPolicy/egressPorts/0'": in("networkPolicy", "egressPorts", []any{0}),
		"'/config'":                      {"config": ""},
		"workload_identity needs workloadIdentity.enabled": edited(
			"certificate_file: /secrets/graphrelay/entra.pem", "workload_identity: true"),
		"workloadIdentity.clientId is missing":      in("workloadIdentity", "enabled", true),
		"no listener of config has port":            edited("address: 0.0.0.0:2525", "tls: starttls"),
		"config is not YAML":                        {"config": "a: [\n"},
		"queue.store is not on the volume":          edited("sqlite:/data/", "sqlite:/var/lib/graphrelay/"),
		"metrics.address cannot be reached":         edited("0.0.0.0:9725", "127.0.0.1:9725"),
		"port 25 needs a privilege":                 edited("0.0.0.0:2525", "0.0.0.0:25"),
		"has port 2525; correct targetPort of smtp": edited("0.0.0.0:2525", "0.0.0.0:2526"),
		"admin.address is in a folder that cannot be written": {
			"config": config + "admin: {address: \"unix:/var/run/x.sock\"}\n"},
	} {
		if _, err := template(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A change of the configuration is left to --watch-config, but one of a key that only
// a start reads replaces the pod.
func TestOnlyStartOnlyKeysReplaceThePod(t *testing.T) {
	config := read(t, "../values.yaml")["config"].(string)
	pod := func(config string) string {
		pod, _ := podOf(t, objects(t, rendered(t, map[string]any{"config": config})))
		b, err := json.Marshal(pod.ObjectMeta)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before, keys := pod(config), map[string]bool{}
	if pod(strings.Replace(config, "notifications@", "other@", 1)) != before {
		t.Error("a sender replaces the pod")
	}
	for key, edited := range map[string]string{
		"queue.store": strings.Replace(config, "queue.db", "other.db", 1),
		"queue.store_url_file": strings.Replace(config, "store: sqlite:/data/queue.db",
			"store_url_file: /secrets/graphrelay/url", 1),
		"queue.min_free_space":    strings.Replace(config, "queue:\n", "queue:\n  min_free_space: 1GiB\n", 1),
		"queue.max_messages":      strings.Replace(config, "queue:\n", "queue:\n  max_messages: 10\n", 1),
		"admin.address":           config + "admin: {address: \"unix:/run/graphrelay/other.sock\"}\n",
		"metrics.address":         strings.Replace(config, "9725", "9726", 1),
		"console.address":         config + "console: {address: 127.0.0.1:8025}\n",
		"alerts.webhook_url_file": config + "alerts: {webhook_url_file: /secrets/x/hook.url}\n",
		"log.format":              strings.Replace(config, "format: json", "format: text", 1),
	} {
		if pod(edited) == before {
			t.Errorf("a change of %s does not replace the pod", key)
		}
		keys[key] = true
	}
	b, err := os.ReadFile("../../../relay/reload.go")
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`\n\t\t\{"([a-z_.]+)", `).FindAllStringSubmatch(string(b), -1)
	if len(known) != len(keys) {
		t.Errorf("a reload refuses to change %q, and the pod is replaced by %v", known, keys)
	}
	for _, key := range known {
		if !keys[key[1]] {
			t.Errorf("a reload refuses to change %s, and the pod is not replaced", key[1])
		}
	}
}
