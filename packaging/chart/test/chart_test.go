package charttest

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

// cases are the values of the examples, by name; default has none of its own.
func cases(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	all := map[string]map[string]any{"default": {}}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = read(t, file)
	}
	return all
}

func read(t *testing.T, file string) (values map[string]any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, &values); err != nil {
		t.Fatal(file, err)
	}
	return values
}

// template renders the chart as `helm template mail .. -n post` does.
func template(values map[string]any) (map[string]string, error) {
	chart, err := loader.Load("..")
	if err != nil {
		return nil, err
	}
	return render(chart, values)
}

func render(chart *chart.Chart, values map[string]any) (map[string]string, error) {
	release := common.ReleaseOptions{Name: "mail", Namespace: "post", IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(chart, values, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

func rendered(t *testing.T, values map[string]any) map[string]string {
	t.Helper()
	files, err := template(values)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func together(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" {
			b.WriteString("---\n# " + name + "\n" + text + "\n")
		}
	}
	return b.String()
}

// objects decodes what was rendered, strictly: a field that Kubernetes does not
// know, or one that comes twice, is an error.
func objects(t *testing.T, files map[string]string) (all []any) {
	t.Helper()
	for name, text := range files {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for _, doc := range strings.Split(text, "\n---\n") {
			if strings.TrimSpace(doc) == "" {
				continue
			}
			var kind struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, doc)
			}
			object := map[string]any{
				"apps/v1 StatefulSet": &apps.StatefulSet{}, "apps/v1 Deployment": &apps.Deployment{},
				"policy/v1 PodDisruptionBudget": &disruption.PodDisruptionBudget{}, "v1 Service": &core.Service{},
				"v1 ConfigMap": &core.ConfigMap{}, "v1 ServiceAccount": &core.ServiceAccount{},
				"networking.k8s.io/v1 NetworkPolicy":      &networking.NetworkPolicy{},
				"monitoring.coreos.com/v1 ServiceMonitor": &monitoring.ServiceMonitor{},
				"monitoring.coreos.com/v1 PrometheusRule": &monitoring.PrometheusRule{},
			}[kind.APIVersion+" "+kind.Kind]
			if object == nil {
				t.Fatalf("%s: %+v is no kind that a chart of graphrelay has", name, kind)
			}
			if err := yaml.UnmarshalStrict([]byte(doc), object); err != nil {
				t.Errorf("%s: %v\n%s", name, err, doc)
			}
			all = append(all, object)
		}
	}
	return all
}

// podOf is the pod of the StatefulSet, or of the Deployment if the queue is on PostgreSQL, and how
// its owner finds it.
func podOf(t *testing.T, all []any) (core.PodTemplateSpec, *meta.LabelSelector) {
	t.Helper()
	if slices.ContainsFunc(all, func(o any) bool { _, is := o.(*apps.Deployment); return is }) {
		d := only[*apps.Deployment](t, all)
		return d.Spec.Template, d.Spec.Selector
	}
	s := only[*apps.StatefulSet](t, all)
	return s.Spec.Template, s.Spec.Selector
}

// only is the one object of a type.
func only[T any](t *testing.T, all []any) (found T) {
	t.Helper()
	n := 0
	for _, object := range all {
		if o, ok := object.(T); ok {
			found = o
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d objects of type %T", n, found)
	}
	return found
}

func TestGolden(t *testing.T) {
	for name, values := range cases(t) {
		golden(t, name+".yaml", together(rendered(t, values)))
	}
}

// golden compares a text with the one that was read once.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("%s: %v: it differs; read what changed after: go test . -update; git diff\n%s", file, err, got)
	}
}

// Each object is one that Kubernetes knows, and the pod is one that a namespace with
// PodSecurity restricted admits.
func TestObjectsAreStrictAndThePodIsRestricted(t *testing.T) {
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, values := range cases(t) {
		pod, _ := podOf(t, objects(t, rendered(t, values)))
		if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !r.Allowed {
			t.Errorf("%s: %s", name, r.ForbiddenDetail())
		}
		pod.Spec.Containers[0].SecurityContext.Capabilities = nil
		if policy.AggregateCheckResults(checks.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)).Allowed {
			t.Fatalf("%s: a pod with capabilities is admitted: the check is broken", name)
		}
	}
}

// What the objects say of each other agrees: selectors, ports by name, volumes, and
// the queue on a claim that outlives the release, or in a database.
func TestObjectsFitTogether(t *testing.T) {
	for name, values := range cases(t) {
		all := objects(t, rendered(t, values))
		pod, selector := podOf(t, all)
		container := pod.Spec.Containers[0]
		within := func(what string, selector map[string]string) {
			for key, value := range selector {
				if pod.Labels[key] != value {
					t.Errorf("%s: %s selects %s=%s, the pod has %q", name, what, key, value, pod.Labels[key])
				}
			}
		}
		within("the set", selector.MatchLabels)
		ports := map[string]int32{}
		for _, p := range container.Ports {
			if ports[p.Name] != 0 {
				t.Errorf("%s: two ports %s", name, p.Name)
			}
			ports[p.Name] = p.ContainerPort
		}
		for _, object := range all {
			switch o := object.(type) {
			case *core.Service:
				within(o.Name, o.Spec.Selector)
				for _, p := range o.Spec.Ports {
					if !slices.Contains(slices.Collect(maps.Values(ports)), p.TargetPort.IntVal) &&
						ports[p.TargetPort.StrVal] == 0 {
						t.Errorf("%s: %s leads to port %v, the pod has %v", name, o.Name, p.TargetPort.String(), ports)
					}
				}
			case *networking.NetworkPolicy:
				within(o.Name, o.Spec.PodSelector.MatchLabels)
			case *disruption.PodDisruptionBudget:
				within(o.Name, o.Spec.Selector.MatchLabels)
			}
		}
		if p := container.ReadinessProbe.HTTPGet; ports[p.Port.StrVal] == 0 || p.Path != "/readyz" {
			t.Errorf("%s: readiness %+v", name, p)
		}
		volumes := map[string]bool{}
		if !strings.Contains(name, "postgres") {
			volumes[onItsVolume(t, name, all)] = true
		}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = true
		}
		for _, m := range container.VolumeMounts {
			if !volumes[m.Name] || m.SubPath != "" {
				t.Errorf("%s: mount %+v of %v", name, m, volumes)
			}
			delete(volumes, m.Name)
		}
		if len(volumes) > 0 {
			t.Errorf("%s: %v are not mounted", name, volumes)
		}
	}
}

// onItsVolume examines the set of a queue on a volume, and returns the volume's name.
func onItsVolume(t *testing.T, name string, all []any) string {
	t.Helper()
	set := only[*apps.StatefulSet](t, all)
	if !slices.ContainsFunc(all, func(o any) bool {
		s, is := o.(*core.Service)
		return is && s.Name == set.Spec.ServiceName
	}) {
		t.Errorf("%s: there is no service %s", name, set.Spec.ServiceName)
	}
	kept := set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted
	if *set.Spec.Replicas != 1 || len(set.Spec.VolumeClaimTemplates) != 1 ||
		kept != apps.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Errorf("%s: %+v", name, set.Spec)
	}
	return set.Spec.VolumeClaimTemplates[0].Name
}

// The chart has the rules of packaging/monitoring as they are.
func TestRulesAreThoseShipped(t *testing.T) {
	want, err := os.ReadFile("../../monitoring/graphrelay.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../files/graphrelay.rules.yml"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: run: cp packaging/monitoring/graphrelay.rules.yml packaging/chart/files/", err)
	}
	var groups monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(want, &groups); err != nil {
		t.Fatal(err)
	}
	rule := only[*monitoring.PrometheusRule](t, objects(t, rendered(t, cases(t)["entra-secret"])))
	if len(rule.Spec.Groups) != len(groups.Groups) || len(rule.Spec.Groups[0].Rules) < 10 {
		t.Errorf("%d groups of %d", len(rule.Spec.Groups), len(groups.Groups))
	}
	for i, g := range rule.Spec.Groups {
		for j, r := range g.Rules {
			if w := groups.Groups[i].Rules[j]; r.Expr != w.Expr || !maps.Equal(r.Annotations, w.Annotations) {
				t.Errorf("%+v, want %+v", r, w)
			}
		}
	}
}
