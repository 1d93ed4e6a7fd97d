package charttest

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containers/podman/v4/pkg/systemd/parser"
	podman "github.com/containers/podman/v4/pkg/systemd/quadlet"
)

const examples = "../../container/"

// composed reads an example for Compose as Compose does.
func composed(t *testing.T, file string) (types.ServiceConfig, types.Volumes) {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: examples, Environment: types.Mapping{"NODE": "relay1"},
		ConfigFiles: []types.ConfigFile{{Filename: examples + file}}}
	project, err := loader.LoadWithContext(context.Background(), details)
	if err != nil {
		t.Fatal(err)
	}
	service, err := project.GetService("graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	return service, project.Volumes
}

// A node on PostgreSQL runs as the one with a volume does, but for the volume and the port at which
// a load balancer asks whether it works.
func TestComposeOfSeveralNodes(t *testing.T) {
	one, _ := composed(t, "compose.yaml")
	node, volumes := composed(t, "compose.postgres.yaml")
	if len(volumes) > 0 || node.Hostname != "relay1" || len(node.Ports) != 2 || node.Ports[1].Target != 9725 {
		t.Errorf("%+v with volumes %v", node, volumes)
	}
	one.Volumes = one.Volumes[:1]
	node.Hostname, node.Ports = "", node.Ports[:1]
	if !reflect.DeepEqual(one, node) {
		t.Errorf("they run as\n%+v\n%+v", one, node)
	}
}

// quadlet converts a text of an example for Podman into a service as Podman 4.9 does at
// a boot, which refuses keys that it does not know.
func quadlet(name, text string) (string, error) {
	unit := parser.NewUnitFile()
	unit.Filename = name
	err := unit.Parse(text)
	if err == nil && strings.HasSuffix(name, ".volume") {
		unit, _, err = podman.ConvertVolume(unit, name, nil)
	} else if err == nil {
		unit, err = podman.ConvertContainer(unit, map[string]string{"graphrelay.volume": "graphrelay-queue"}, false)
	}
	if err != nil {
		return "", err
	}
	return unit.ToString()
}

// The services that Podman makes of the examples are those that were read once.
func TestQuadletsAreServices(t *testing.T) {
	for _, name := range []string{"graphrelay.volume", "graphrelay.container"} {
		b, err := os.ReadFile(examples + name)
		if err != nil {
			t.Fatal(err)
		}
		service, err := quadlet(name, string(b))
		if err != nil {
			t.Fatal(name, err)
		}
		golden(t, name+".service", service)
		if _, err := quadlet(name, strings.Replace(string(b), "\nUser=", "\nUsers=", 1)); err == nil {
			t.Errorf("%s: a key that Podman does not know is not noticed", name)
		}
	}
}

// A node on PostgreSQL is the example without its volume and the checks, as container.md says.
func TestQuadletOfSeveralNodes(t *testing.T) {
	b, err := os.ReadFile(examples + "graphrelay.container")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return line == "Volume=graphrelay.volume:/data" || strings.HasPrefix(line, "Health")
	})
	text := strings.Replace(strings.Join(left, "\n"), "\nPublishPort=", "\nPublishPort=9725:9725\nPublishPort=", 1)
	service, err := quadlet("graphrelay.container", text)
	if err != nil || len(lines)-len(left) != 4 || strings.Contains(service, "graphrelay-queue") ||
		strings.Contains(service, "--health-") || !strings.Contains(service, " --publish 9725:9725 ") {
		t.Errorf("%v: %d lines fewer: %s", err, len(lines)-len(left), service)
	}
}

// Both examples run the program in the same way: as its user, read-only, without a
// capability, with the folder of the configuration and a volume for the queue.
func TestComposeAndQuadletRunTheSame(t *testing.T) {
	c, volumes := composed(t, "compose.yaml")
	if _, there := volumes["queue"]; !there {
		t.Error("there is no volume for the queue")
	}
	q := map[string][]string{}
	unit, err := parser.ParseUnitFile(examples + "graphrelay.container")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range unit.ListKeys(podman.ContainerGroup) {
		q[key] = unit.LookupAll(podman.ContainerGroup, key)
	}
	const command = "serve --watch-config -c /etc/graphrelay/config.yaml"
	if got := strings.Join(c.Command, " "); got != command || q["Exec"][0] != command {
		t.Errorf("they run %q and %q", got, q["Exec"])
	}
	if c.User != "65532:65532" || q["User"][0] != "65532" || q["Group"][0] != "65532" {
		t.Errorf("users %q and %q", c.User, q["User"])
	}
	if !c.ReadOnly || q["ReadOnly"][0] != "true" || !slices.Equal(c.CapDrop, []string{"ALL"}) ||
		q["DropCapability"][0] != "all" || !slices.Contains(c.SecurityOpt, "no-new-privileges:true") ||
		q["NoNewPrivileges"][0] != "true" {
		t.Error("one of them may do more than it needs")
	}
	if p := c.Ports[0]; p.Published+":2525" != q["PublishPort"][0] || p.Target != 2525 {
		t.Errorf("ports %+v and %q", p, q["PublishPort"])
	}
	if *c.StopGracePeriod != types.Duration(90e9) || q["PodmanArgs"][0] != "--stop-timeout=90" {
		t.Errorf("they stop within %v and %q", c.StopGracePeriod, q["PodmanArgs"])
	}
	targets := []string{}
	for _, v := range c.Volumes {
		targets = append(targets, v.Target)
	}
	for i, v := range q["Volume"] {
		if to := strings.Split(v, ":")[1]; to != targets[i] {
			t.Errorf("volumes %v and %q", targets, q["Volume"])
		}
	}
	if !slices.Equal(targets, []string{"/etc/graphrelay", "/data"}) || c.Volumes[1].Type != types.VolumeTypeVolume ||
		!c.Volumes[0].ReadOnly {
		t.Errorf("volumes %+v", c.Volumes)
	}
	health := strings.Join(c.HealthCheck.Test, " ")
	if c.Tmpfs[0] != q["Tmpfs"][0] || health != "CMD /usr/bin/graphrelay status" {
		t.Errorf("tmpfs %v and %q; health %v", c.Tmpfs, q["Tmpfs"], c.HealthCheck.Test)
	}
}
