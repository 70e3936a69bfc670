package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secretstore"
)

func TestSecretsDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "", Options{})
	if diff := cmp.Diff([]string{"env", "file", "builtin"}, c.Secrets.Providers); diff != "" || c.Secrets.Vault.Store() != nil {
		t.Errorf("without a word (-want +got):\n%s\nvault %v", diff, c.Secrets.Vault.Store())
	}
	c = mustLoad(t, `
data: /srv
secrets:
  providers: [file, vault]
  vault: {address: "https://vault.example:8200", ca: ca.pem, login: kubernetes, role: carnet}
`, Options{Environ: []string{"CARNET_SECRETS_VAULT_NAMESPACE=bank"}})
	want := &secretstore.VaultConfig{
		Address: "https://vault.example:8200", Namespace: "bank", Mount: "secret", Path: "carnet", CA: "/srv/ca.pem",
		Login: "kubernetes", Role: "carnet", JWT: "/var/run/secrets/kubernetes.io/serviceaccount/token",
	}
	if diff := cmp.Diff(want, c.Secrets.Vault.Store()); diff != "" {
		t.Errorf("vault (-want +got):\n%s", diff)
	}
	c = mustLoad(t, `
secrets:
  providers: [env, vault]
  vault: {address: "http://127.0.0.1:8100/proxy", login: approle, login_mount: a/b, role: x, secret_id: "srn:vault::default:secret:id"}
`, Options{})
	if got := c.Secrets.Vault.Store(); got.Secret != "srn:vault::default:secret:id" || got.LoginMount != "a/b" {
		t.Errorf("vault %+v", got)
	}
}

func TestSecretRefs(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
master_keys: {data: "srn:vault::default:secret:master"}
secrets:
  providers: [env, vault]
  vault: {address: "https://v.example", token: "srn:vault::default:secret:vault-token"}
chat:
  kore: {assertion_key: "srn:vault::default:secret:kore"}
  bots:
    a:
      type: webhook
      url: https://a.example/
      secret: "srn:vault:global:default:secret:BOT"
      previous_secret: "srn:vault::default:secret:bot:1"
      headers: {x-key: "srn:vault::default:secretdoc:doc#/key", x-plain: "hunter2"}
gateway:
  consumers:
  - username: x
    jwt_secrets:
    - {key: a, secret: "srn:vault::default:secret:bot"}
    - {key: b, secret: "hunter2"}
`, Options{})
	want := []string{
		"srn:vault::default:secret:bot", "srn:vault::default:secret:bot/1", "srn:vault::default:secret:kore",
		"srn:vault::default:secret:master", "srn:vault::default:secret:vault-token", "srn:vault::default:secretdoc:doc#/key",
	}
	if diff := cmp.Diff(want, c.SecretRefs()); diff != "" {
		t.Errorf("SecretRefs() (-want +got):\n%s", diff)
	}
}

func TestSecretRefsOfConnectors(t *testing.T) {
	t.Parallel()
	c, err := loadWith(t, "connectors: [verify.json, bank.json]\nmaster_keys: {data: 'srn:vault::default:secret:master'}\n",
		map[string]string{"verify.json": connectorJSON, "bank.json": profileJSON})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"srn:vault::default:secret:key", "srn:vault::default:secret:master", "srn:vault::default:secretdoc:client"}, c.SecretRefs()); diff != "" {
		t.Errorf("SecretRefs() (-want +got):\n%s", diff)
	}
}
