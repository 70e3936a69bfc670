package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// deployDir is where the files stand that these tests hold to the program.
const deployDir = "../../deploy"

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// containerEnv is the environment that the container file gives a node.
func containerEnv(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(CARNET_[A-Z_]+)=(\S+)`).FindAllStringSubmatch(deployFile(t, "Containerfile"), -1) {
		env[m[1]] = m[2]
	}
	if len(env) == 0 {
		t.Fatal("the container file sets nothing")
	}
	return env
}

// checkConfig asks the program what it makes of an environment, with a file in place of
// that which CARNET_CONFIG names, and returns its effective configuration.
func checkConfig(t *testing.T, env map[string]string, file string) map[string]any {
	t.Helper()
	environ := []string{"CARNET_CONFIG=" + file}
	for name, value := range env {
		if name != "CARNET_CONFIG" {
			environ = append(environ, name+"="+value)
		}
	}
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = environ
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("carnet %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("config", "check")
	var all map[string]any
	if err := yaml.Unmarshal([]byte(run("config", "print")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// outlasts tells whether a node with this configuration has stopped within a time.
func outlasts(t *testing.T, all map[string]any, limit time.Duration) {
	t.Helper()
	var sum time.Duration
	for _, name := range []string{"shutdown_delay", "shutdown_grace"} {
		d, err := time.ParseDuration(fmt.Sprint(all[name]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum += d
	}
	if sum >= limit {
		t.Errorf("a node takes %s to stop, and is killed after %s", sum, limit)
	}
}

// listens is the port of a listener.
func listens(t *testing.T, all map[string]any, name string) string {
	t.Helper()
	addresses, _ := all["listen"].(map[string]any)
	_, port, err := net.SplitHostPort(fmt.Sprint(addresses[name]))
	if err != nil {
		t.Fatalf("listen.%s: %v", name, err)
	}
	return port
}

func TestContainerFile(t *testing.T) {
	t.Parallel()
	text := deployFile(t, "Containerfile")
	file := filepath.Join(t.TempDir(), "carnet.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := checkConfig(t, containerEnv(t), file)
	if want := "EXPOSE " + listens(t, all, "public") + " " + listens(t, all, "gateway") + "\n"; !strings.Contains(text, want) {
		t.Errorf("no %q", want)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)[1]
	if want := "golang:" + string(version) + " AS build"; !strings.Contains(text, want) {
		t.Errorf("no %q: go.mod wants that", want)
	}
	for _, m := range regexp.MustCompile(`(?:ENTRYPOINT|HEALTHCHECK CMD) \["([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(text, "COPY --from=build /out/carnet "+m[1]+"\n") {
			t.Errorf("nothing puts the program at %s", m[1])
		}
	}
	if data := containerEnv(t)["CARNET_DATA"]; !strings.Contains(text, " /out/data "+data+"\n") {
		t.Errorf("nothing makes %s", data)
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(text) {
		t.Error("it runs as root, or as a name that Kubernetes cannot tell from root")
	}
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	type service struct {
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		ReadOnly    bool              `yaml:"read_only"`
		Tmpfs       []string          `yaml:"tmpfs"`
		Grace       string            `yaml:"stop_grace_period"`
		Ports       []string          `yaml:"ports"`
		Command     []string          `yaml:"command"`
		Ulimits     map[string]int    `yaml:"ulimits"`
	}
	var file struct {
		Services map[string]service `yaml:"services"`
		Networks map[string]struct {
			IPAM struct {
				Config []struct{ Subnet string } `yaml:"config"`
			} `yaml:"ipam"`
		} `yaml:"networks"`
	}
	text := regexp.MustCompile(`\$\{([A-Z_]+):\?[^}]*\}`).ReplaceAllString(deployFile(t, "compose.yaml"), "${1}_value")
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	balancer := deployFile(t, "haproxy.cfg")
	nodes := 0
	for name, s := range file.Services {
		if !strings.HasPrefix(name, "carnet-") {
			continue
		}
		nodes++
		env := containerEnv(t)
		for k, v := range s.Environment {
			env[k] = v
		}
		for _, which := range []string{"SIGNING", "DATA"} {
			source := strings.TrimPrefix(env["CARNET_MASTER_KEYS_"+which], "env:")
			if env[source] == "" {
				t.Errorf("%s: nothing sets %s", name, source)
			}
		}
		if want := "./carnet.yaml:" + env["CARNET_CONFIG"] + ":ro"; !slices.Contains(s.Volumes, want) {
			t.Errorf("%s: no volume %s", name, want)
		}
		if len(s.Tmpfs) != 1 || !strings.HasPrefix(s.Tmpfs[0], env["CARNET_DATA"]+":") || !s.ReadOnly {
			t.Errorf("%s: the root is not read-only, or %s cannot be written", name, env["CARNET_DATA"])
		}
		all := checkConfig(t, env, filepath.Join(deployDir, "carnet.yaml"))
		grace, err := time.ParseDuration(s.Grace)
		if err != nil {
			t.Fatal(err)
		}
		outlasts(t, all, grace)
		if subnet := file.Networks["default"].IPAM.Config[0].Subnet; env["CARNET_TRUSTED_PROXIES"] != subnet {
			t.Errorf("%s trusts %s, the balancer is in %s", name, env["CARNET_TRUSTED_PROXIES"], subnet)
		}
		for _, door := range []string{"public", "gateway"} {
			port := listens(t, all, door)
			if want := fmt.Sprintf("  server %s %s:%s\n", name, name, port); !strings.Contains(balancer, want) {
				t.Errorf("the balancer has no %q", want)
			}
			if want := port + ":" + port; !slices.Contains(file.Services["balancer"].Ports, want) {
				t.Errorf("the balancer does not publish %s", want)
			}
		}
		if want := "check port " + listens(t, all, "admin"); !strings.Contains(balancer, want) {
			t.Errorf("the balancer has no %q", want)
		}
	}
	connections, err := strconv.Atoi(regexp.MustCompile(`(?m)^  maxconn (\d+)$`).FindStringSubmatch(balancer)[1])
	if err != nil || file.Services["balancer"].Ulimits["nofile"] < 2*connections+1000 {
		t.Errorf("the balancer may have %v files for %d connections", file.Services["balancer"].Ulimits, connections)
	}
	if valkey := strings.Join(file.Services["valkey"].Command, " "); !strings.Contains(valkey, "--maxmemory-policy noeviction") {
		t.Errorf("limits may be forgotten: %s", valkey)
	}
	if nodes != 3 || strings.Count(balancer, "  server carnet-") != 2*nodes {
		t.Errorf("%d nodes, want 3 that the balancer has, too", nodes)
	}
}

// TestBalancerFile has HAProxy itself look at it.
func TestBalancerFile(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy" // of Debian's package of that name
	}
	if out, err := exec.CommandContext(t.Context(), program, "-c", "-f", filepath.Join(deployDir, "haproxy.cfg")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// object is a Kubernetes object.
type object = map[string]any

// at is the member of o at a path; numbers are indices of lists.
func at(o any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := o.(object)
			o = m[key]
		case int:
			list, _ := o.([]any)
			if key >= len(list) {
				return nil
			}
			o = list[key]
		}
	}
	return o
}

func TestKubernetesFile(t *testing.T) {
	t.Parallel()
	text := deployFile(t, "kubernetes/carnet.yaml")
	kinds := map[string]object{}
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[fmt.Sprint(o["kind"])] = o
	}
	pod := at(kinds["Deployment"], "spec", "template", "spec")
	container := at(pod, "containers", 0)
	env := containerEnv(t)
	list, _ := at(container, "env").([]any)
	for _, e := range list {
		name, value := fmt.Sprint(at(e, "name")), at(e, "value")
		if key := at(e, "valueFrom", "secretKeyRef", "key"); key != nil {
			if at(e, "valueFrom", "secretKeyRef", "name") != "carnet" || !strings.Contains(text, fmt.Sprintf("--from-literal=%s=", key)) {
				t.Errorf("%s: nobody is told to put %s into the Secret", name, key)
			}
			value = map[any]string{"store": "postgres://carnet@postgres/carnet", "bus": "redis://redis:6379"}[key]
		}
		env[name] = fmt.Sprint(value)
	}
	delete(env, "GOMEMLIMIT")
	for _, which := range []string{"SIGNING", "DATA"} {
		if _, ok := env[strings.TrimPrefix(env["CARNET_MASTER_KEYS_"+which], "env:")]; !ok {
			t.Errorf("nothing sets %s", env["CARNET_MASTER_KEYS_"+which])
		}
	}
	dir := fmt.Sprint(at(container, "volumeMounts", 0, "mountPath"))
	if env["CARNET_CONFIG"] != dir+"/carnet.yaml" {
		t.Errorf("CARNET_CONFIG is %s, the ConfigMap in %s", env["CARNET_CONFIG"], dir)
	}
	if got := at(container, "volumeMounts", 1, "mountPath"); got != env["CARNET_DATA"] {
		t.Errorf("%s cannot be written, only %v", env["CARNET_DATA"], got)
	}
	file := filepath.Join(t.TempDir(), "carnet.yaml")
	if err := os.WriteFile(file, []byte(fmt.Sprint(at(kinds["ConfigMap"], "data", "carnet.yaml"))), 0o600); err != nil {
		t.Fatal(err)
	}
	all := checkConfig(t, env, file)
	var seconds time.Duration
	if _, err := fmt.Sscan(fmt.Sprint(at(pod, "terminationGracePeriodSeconds")), &seconds); err != nil {
		t.Fatal(err)
	}
	outlasts(t, all, seconds*time.Second)
	ports, _ := at(container, "ports").([]any)
	for _, p := range ports {
		if name := fmt.Sprint(at(p, "name")); fmt.Sprint(at(p, "containerPort")) != listens(t, all, name) {
			t.Errorf("port %s is %v, the listener's %s", name, at(p, "containerPort"), listens(t, all, name))
		}
	}
	for probe, path := range map[string]string{"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
		if at(container, probe, "httpGet", "path") != path || at(container, probe, "httpGet", "port") != "admin" {
			t.Errorf("%s: %v", probe, at(container, probe))
		}
	}
	if at(pod, "enableServiceLinks") != false {
		t.Error("variables of Services would be taken for configuration")
	}
	labels := fmt.Sprint(at(kinds["Deployment"], "spec", "template", "metadata", "labels"))
	for what, selector := range map[string]any{
		"Deployment":          at(kinds["Deployment"], "spec", "selector", "matchLabels"),
		"Service":             at(kinds["Service"], "spec", "selector"),
		"PodDisruptionBudget": at(kinds["PodDisruptionBudget"], "spec", "selector", "matchLabels"),
		"NetworkPolicy":       at(kinds["NetworkPolicy"], "spec", "podSelector", "matchLabels"),
		"spread over zones":   at(pod, "topologySpreadConstraints", 0, "labelSelector", "matchLabels"),
		"spread over nodes":   at(pod, "topologySpreadConstraints", 1, "labelSelector", "matchLabels"),
	} {
		if fmt.Sprint(selector) != labels {
			t.Errorf("%s selects %v, pods have %v", what, selector, labels)
		}
	}
	if uid := fmt.Sprint(at(pod, "securityContext", "runAsUser")); !strings.Contains(deployFile(t, "Containerfile"), "USER "+uid+":"+uid+"\n") {
		t.Errorf("pods run as %s, the container file has another user", uid)
	}
}

func TestUnitFile(t *testing.T) {
	t.Parallel()
	text := deployFile(t, "systemd/carnet.service")
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(\w+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		env[m[1]] = m[2]
	}
	file := filepath.Join(t.TempDir(), "carnet.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := checkConfig(t, env, file)
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(text)
	grace, err := time.ParseDuration(stop[1] + "s")
	if err != nil {
		t.Fatal(err)
	}
	outlasts(t, all, grace)
	if env["CARNET_DATA"] != "/var/lib/carnet" || !strings.Contains(text, "\nStateDirectory=carnet\n") {
		t.Errorf("%s is not what the unit may write", env["CARNET_DATA"])
	}

	for _, line := range []string{"StartLimitIntervalSec=0", "Restart=on-failure", "RestartPreventExitStatus=2"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s: a node gives up while its store is away, or tries a wrong configuration for ever", line)
		}
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here: the rest is checked where it is")
	}
	unit := filepath.Join(t.TempDir(), "carnet.service")
	const program = "ExecStart=/usr/local/bin/carnet "
	if !strings.Contains(text, program) {
		t.Fatalf("no %s", program)
	}
	here := strings.Replace(text, program, "ExecStart="+binary+" ", 1)
	if err := os.WriteFile(unit, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "verify", unit).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
