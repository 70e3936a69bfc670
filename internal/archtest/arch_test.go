// Package archtest holds the architecture to its plan: which package may import
// which, and who may see a secret.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

const module = "github.com/carnetproject/carnet"

// layers: a package imports only packages of lower layers, but for the arrows in
// sideways. A name ending in "/" stands for all packages under it.
var layers = [][]string{
	{"internal/jose", "internal/seal", "internal/fault", "internal/secret", "internal/crew", "internal/trace", "internal/wire", "internal/porttest"},
	{
		"internal/key", "internal/token", "internal/app", "internal/user", "internal/device", "internal/revocation",
		"internal/consumer", "internal/limit", "internal/gateway",
		"internal/bot", "internal/chat", "internal/securesession", "internal/authprofile", "internal/connector", "internal/egress",
		"internal/signin", "internal/signin/signintest", "internal/audit", "internal/audit/audittest",
	},
	{"internal/store/", "internal/bus/", "internal/secretstore", "internal/dump", "internal/api/", "internal/httpx", "internal/socket", "internal/observe", "internal/observe/observetest", "web"},
	{"internal/config", "internal/server", "internal/cli", "internal/soak", "cmd/"},
}

// sideways are the arrows inside a layer: importer → imported.
var sideways = map[string][]string{
	"internal/seal":              {"internal/jose", "internal/secret"},
	"internal/secret":            {"internal/fault"},
	"internal/token":             {"internal/key", "internal/app", "internal/revocation", "internal/limit", "internal/connector"},
	"internal/signin":            {"internal/app", "internal/token", "internal/user", "internal/revocation"},
	"internal/signin/signintest": {"internal/signin", "internal/app", "internal/token"},
	"internal/audit/audittest":   {"internal/audit"},
	"internal/device":            {"internal/key"},
	"internal/gateway":           {"internal/consumer", "internal/limit", "internal/revocation"},
	"internal/chat":              {"internal/app", "internal/revocation", "internal/limit", "internal/securesession", "internal/bot"},
	"internal/user":              {"internal/connector"},
	"internal/bot":               {"internal/egress"},
	"internal/connector":         {"internal/egress"},
	"internal/securesession":     {"internal/connector"},
	"internal/authprofile":       {"internal/securesession", "internal/connector", "internal/egress"},
	"internal/store/":            {"internal/store/table"},
	"internal/bus/":              {"internal/bus/local"},
	"internal/api/":              {"internal/httpx", "internal/socket"},
	"internal/server":            {"internal/config"},
	"internal/cli":               {"internal/config", "internal/server"},
	"cmd/":                       {"internal/cli"},
}

// public packages are what others import. They see jose, and nothing else of ours.
var public = []string{"", "carnettest", "webhook"}

// revealers may call secret.Bytes.Reveal: each file is a decision, with its reason.
var revealers = map[string]string{
	"internal/seal/box.go":                  "seals under a master key",
	"internal/seal/key.go":                  "writes a secret into the file of its owner",
	"internal/seal/recipient.go":            "seals to a secret that both sides have",
	"internal/app/directory.go":             "hashes a client secret, and seals one that signs",
	"internal/app/provided.go":              "signs with a secret of a provider, and names its values",
	"internal/user/password.go":             "hashes a password",
	"internal/user/remote.go":               "shows the operator's own directory a password",
	"internal/token/secret.go":              "hashes a refresh token, and makes the next one",
	"internal/signin/secret.go":             "hashes a cookie of a browser, and a code",
	"internal/signin/known.go":              "makes the marks of browsers",
	"internal/api/kong/credential.go":       "shows a credential to those who set its secret",
	"internal/api/oauth/wire.go":            "sends a refresh token to the one it is for",
	"internal/api/oauth/authorize.go":       "sends an authorization code to the app, by the browser",
	"internal/api/oauth/enter.go":           "gives the browser its cookie",
	"internal/consumer/keys.go":             "reads a legacy secret as base64",
	"internal/consumer/material.go":         "seals a legacy secret",
	"internal/consumer/import.go":           "hashes what is imported, to know it again",
	"internal/consumer/importer.go":         "compares a secret with one that is there",
	"internal/gateway/config.go":            "tells an SRN from a value",
	"internal/gateway/credential.go":        "makes a verification key of a legacy secret",
	"internal/device/legacy.go":             "signs the first token of a device's own credential",
	"internal/device/roles.go":              "shows the learner service its token",
	"internal/api/device/handler.go":        "sends a device the secret that is for it",
	"internal/bot/sign.go":                  "signs calls of webhooks",
	"internal/securesession/fingerprint.go": "keys the fingerprints of credentials",
	"internal/connector/send.go":            "puts secrets into the calls of connectors",
	"internal/authprofile/grant.go":         "seals the tokens of a user",
	"internal/authprofile/provider.go":      "shows a provider the client's secret, and a user's tokens",
	"internal/authprofile/authorizer.go":    "puts a user's token into the input of the profile's connector",
	"internal/bot/openai.go":                "shows the model's server its key",
	"internal/server/secrets.go":            "puts configured headers into calls",
	"internal/server/devices.go":            "makes a verification key of Keycloak's secret",
	"internal/server/kore.go":               "makes a key that opens assertions",
	"internal/server/koredemo.go":           "writes the demo's values for its user",
	"internal/server/files.go":              "decodes a master key",
	"internal/server/demo.go":               "writes the demo's values for its user",
	"internal/cli/apps.go":                  "prints a new client secret once",
	"internal/secretstore/provider.go":      "finds a field of a document",
	"internal/secretstore/resolver.go":      "makes a certificate for TLS, and tells values without versions apart",
	"internal/secretstore/safe.go":          "seals what is put into the built-in vault",
	"internal/secretstore/vault.go":         "shows Vault the node's token",
	"internal/secretstore/login.go":         "shows Vault the node's secret_id",
}

type pkg struct {
	ImportPath string
	Imports    []string
}

// name is the path within the module; ok is false for other modules' packages.
func name(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		return name == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(name, pattern)
	})
}

func layerOf(name string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return matches(l, name) })
}

func sidewaysOf(importer string) []string {
	for pattern, to := range sideways {
		if matches([]string{pattern}, importer) {
			return to
		}
	}
	return nil
}

// refusal says why importer may not import imported, "" if it may.
func refusal(importer, imported string) string {
	if slices.Contains(public, importer) {
		if imported == "internal/jose" || imported == "" && importer != "" {
			return ""
		}
		return "a public package sees internal/jose alone"
	}
	from, to := layerOf(importer), layerOf(imported)
	switch {
	case importer == "internal/archtest" || strings.HasPrefix(importer, "bench"), strings.HasPrefix(importer, "examples/"), importer == "web/build":
		return ""
	case from < 0:
		return "the importer stands in no layer"
	case imported == "": // the public package lies between L0 and L1
		if from == 0 {
			return "L0 is below the public package"
		}
		return ""
	case imported == "carnettest":
		return "for tests only"
	case importer == "internal/soak" && imported == "webhook": // it has a bot of its own
		return ""
	case to < 0:
		return "the imported package stands in no layer"
	case to > from:
		return "the arrow runs upwards"
	case to == from && !matches(sidewaysOf(importer), imported):
		return "the arrow inside the layer is not on the plan"
	}
	return ""
}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range packages(t) {
		importer, _ := name(p.ImportPath)
		for _, path := range p.Imports {
			imported, ours := name(path)
			if !ours {
				if slices.Contains(public, importer) && strings.Contains(path, ".") {
					t.Errorf("%s imports %s: public packages need the standard library alone", importer, path)
				}
				continue
			}
			seen++
			if why := refusal(importer, imported); why != "" {
				t.Errorf("%q imports %q: %s", importer, imported, why)
			}
		}
	}
	if seen < 20 {
		t.Errorf("saw %d arrows: go list found too little", seen)
	}
}

// TestRefusals shows that the rules above can fail.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, arrow := range [][2]string{
		{"", "internal/fault"},
		{"", "internal/key"},
		{"internal/jose", ""},
		{"internal/jose", "internal/fault"},
		{"internal/key", "internal/token"},
		{"internal/gateway", "internal/key"},
		{"internal/key", "internal/store/sqlite"},
		{"internal/store/sqlite", "internal/api/sts"},
		{"internal/api/sts", "internal/api/oauth"},
		{"internal/httpx", "internal/server"},
		{"internal/config", "internal/server"},
		{"internal/gateway", "carnettest"},
		{"internal/util", "internal/jose"},
	} {
		if refusal(arrow[0], arrow[1]) == "" {
			t.Errorf("%q may import %q", arrow[0], arrow[1])
		}
	}
}

func TestWhoRevealsSecrets(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
				rel, _ := filepath.Rel(root, path)
				found = append(found, filepath.ToSlash(rel))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(found)
	found = slices.Compact(found)
	for _, f := range found {
		if _, ok := revealers[f]; !ok {
			t.Errorf("%s calls Reveal and is not on the list", f)
		}
	}
	for f := range revealers {
		if !slices.Contains(found, f) {
			t.Errorf("%s is on the list and calls no Reveal", f)
		}
	}
}
