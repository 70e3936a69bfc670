package seal_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// TestInterop has Node's jose open what we seal, and opens what it seals, in every suite
// and on every curve.
func TestInterop(t *testing.T) {
	t.Parallel()
	type question struct {
		Alg    seal.Algorithm    `json:"alg"`
		Enc    seal.Encryption   `json:"enc"`
		Open   gojose.JSONWebKey `json:"open"`
		Seal   gojose.JSONWebKey `json:"seal"`
		Sealed string            `json:"sealed"`
	}
	var questions []question
	var openers []*seal.Opener
	for suite, keys := range suites(t) {
		for _, key := range keys {
			sealed, err := recipient(t, suite, "k", key).SealToken("from.go.ours")
			if err != nil {
				t.Fatal(err)
			}
			openers = append(openers, openerOf(t, suite, "k", key))
			var public crypto.PublicKey
			if shared, ok := key.(secret.Bytes); ok {
				key, public = shared.Reveal(), shared.Reveal()
			} else {
				public = half(key)
			}
			questions = append(questions, question{suite.Alg, suite.Enc, gojose.JSONWebKey{Key: key}, gojose.JSONWebKey{Key: public}, sealed})
		}
	}
	asked, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.FromSlash("testdata/interop.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", string(script))
	node.Dir, node.Stdin, node.Stderr = "../../web", bytes.NewReader(asked), os.Stderr // where the library is
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v: make setup installs Node and the library", err)
	}
	var answers []struct {
		Plain, Cty, Kid string
		Sealed          []string
	}
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions, %v", len(answers), len(questions), err)
	}
	for i, a := range answers {
		q := questions[i]
		if a.Plain != "from.go.ours" || a.Cty != "JWT" || a.Kid != "k" {
			t.Errorf("%s %s: jose opens %+v", q.Alg, q.Enc, a)
		}
		for _, sealed := range a.Sealed {
			if plain, err := openers[i].Open(sealed); err != nil || string(plain) != "from jose" {
				t.Errorf("%s %s: Open() = %q, %v of %s", q.Alg, q.Enc, plain, err, sealed)
			}
		}
	}
}
