package charttest

import (
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
)

// Of several nodes on PostgreSQL all work: a rollout takes none away before another one is ready, and
// one at a time may be evicted. One that is not ready takes no mail, and may be evicted at any time.
func TestNodesAreReplacedOneByOne(t *testing.T) {
	for name, replicas := range map[string]int32{"postgres": 3, "postgres-outside": 2} {
		all := objects(t, rendered(t, cases(t)[name]))
		d := only[*apps.Deployment](t, all)
		if *d.Spec.Replicas != replicas {
			t.Errorf("%s: %d nodes", name, *d.Spec.Replicas)
		}
		if u := d.Spec.Strategy.RollingUpdate; u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 ||
			d.Spec.ProgressDeadlineSeconds != nil {
			t.Errorf("%s: %+v", name, d.Spec)
		}
		b := only[*disruption.PodDisruptionBudget](t, all)
		if b.Spec.MaxUnavailable.IntValue() != 1 || *b.Spec.UnhealthyPodEvictionPolicy != disruption.AlwaysAllow {
			t.Errorf("%s: %+v", name, b.Spec)
		}
		pod := d.Spec.Template.Spec
		container := pod.Containers[0]
		for _, p := range []*core.Probe{container.LivenessProbe, container.StartupProbe} {
			if p.HTTPGet.Path != "/healthz" {
				t.Errorf("%s: a node that cannot reach the database is killed: %+v", name, p)
			}
		}
		apart := []string{}
		for _, a := range pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			apart = append(apart, a.PodAffinityTerm.TopologyKey)
		}
		if !slices.Equal(apart, []string{"kubernetes.io/hostname", "topology.kubernetes.io/zone"}) {
			t.Errorf("%s: apart by %q", name, apart)
		}
	}
}

// The nodes may reach the database, and are told its CA.
func TestNodesReachTheDatabase(t *testing.T) {
	for name, want := range map[string]struct {
		port  int32
		peers int
		env   string
	}{
		"postgres":         {5433, 2, "PGSSLMODE=verify-full PGSSLROOTCERT=/secrets/queue-ca/ca.crt"},
		"postgres-outside": {5432, 0, ""},
	} {
		all := objects(t, rendered(t, cases(t)[name]))
		egress := only[*networking.NetworkPolicy](t, all).Spec.Egress
		if to := egress[len(egress)-1]; to.Ports[0].Port.IntVal != want.port || len(to.To) != want.peers {
			t.Errorf("%s: %+v", name, to)
		}
		env := []string{}
		for _, e := range only[*apps.Deployment](t, all).Spec.Template.Spec.Containers[0].Env {
			env = append(env, e.Name+"="+e.Value)
		}
		if got := strings.Join(env, " "); got != want.env {
			t.Errorf("%s: environment %q", name, got)
		}
	}
}

// Half of a form is refused, with the other half that is missing.
func TestHalfAFormIsRefused(t *testing.T) {
	volume, database := read(t, "../values.yaml")["config"].(string), cases(t)["postgres"]["config"].(string)
	secrets := []any{"graphrelay", "queue-app", "queue-ca"}
	with := func(config string, postgres map[string]any) map[string]any {
		return map[string]any{"config": config, "postgres": postgres, "secrets": secrets}
	}
	for _, c := range []struct {
		want   string
		values map[string]any
	}{
		{"postgres: the queue of config is on the volume; write queue.store_url_file instead of queue.store",
			with(volume, map[string]any{"replicas": 2})},
		{"queue has both store and store_url_file", with(strings.Replace(database, "store_url_file:",
			"store: sqlite:/data/queue.db\n  store_url_file:", 1), nil)},
		{"config: queue.store_url_file is in none of the Secrets; name the Secret in secrets",
			map[string]any{"config": database, "secrets": []any{"graphrelay"}}},
		{"config: queue.store_url_file is in none of the Secrets",
			with(strings.Replace(database, "/secrets/queue-app/uri", "/etc/graphrelay/queue.url", 1), nil)},
		{"postgres.caFile is in none of the Secrets", with(database, map[string]any{"caFile": "/secrets/x/ca.crt"})},
		{"'/postgres/replicas'", with(database, map[string]any{"replicas": 0})},
		{"'/postgres/caFile'", with(database, map[string]any{"caFile": "ca.crt"})},
		{"'url' not allowed", with(database, map[string]any{"url": "postgres://x"})},
	} {
		if _, err := template(c.values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v does not say %q", err, c.want)
		}
	}
}
