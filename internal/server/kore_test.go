package server

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secretstore"
)

func TestKoreBots(t *testing.T) {
	t.Parallel()
	known := func(id bot.ID) bool { return id == "echo" || id == "menu" }
	var names koreNames
	find := names.find(known)
	names.use(map[string]bot.ID{"st-1": "echo", "Pizza Bot": "menu", "menu": "echo", "st-2": "gone"})
	for called, want := range map[[2]string]bot.ID{
		{"st-1", "anything"}:   "echo",
		{"st-9", "Pizza Bot"}:  "menu",
		{"echo", ""}:           "echo",
		{"", "echo"}:           "echo",
		{"menu", ""}:           "echo", // what is configured comes first
		{"st-2", "echo"}:       "echo",
		{"st-2", ""}:           "",
		{"st-9", "nobody"}:     "",
		{"", ""}:               "",
		{"pizza bot", "PIZZA"}: "",
	} {
		got, ok := find(called[0], called[1])
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t; want %q", called, got, ok, want)
		}
	}
}

func TestBehindTLS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		issuer, host string
		tls, want    bool
	}{
		"plain":              {"http://chat.example", "chat.example", false, false},
		"TLS here":           {"http://chat.example", "chat.example", true, true},
		"TLS at a proxy":     {"https://chat.example", "Chat.example", false, true},
		"past the proxy":     {"https://chat.example", "10.0.0.1:8080", false, false},
		"another port of it": {"https://chat.example", "chat.example:8080", false, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if r.Host = tc.host; tc.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := behindTLS(tc.issuer)(r); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

func TestPrivateKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "default"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"good": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"text": "hello", "damaged": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[1:]})),
	} {
		if err := os.WriteFile(filepath.Join(dir, "default", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := secretstore.New(secretstore.Config{Organization: "default", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := &Core{Secrets: secrets}
	opener, err := c.privateKey(t.Context(), "srn:vault::default:secret:good")
	if err != nil {
		t.Fatal(err)
	}
	to, err := seal.NewRecipient(seal.Suite{}, "", &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := to.Seal([]byte("assertion"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := opener.Open(sealed); err != nil || string(plain) != "assertion" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
	for _, name := range []string{"text", "damaged", "absent"} {
		if _, err := c.privateKey(context.WithoutCancel(t.Context()), "srn:vault::default:secret:"+name); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
}

func TestKoreDemoValues(t *testing.T) {
	t.Parallel()
	want := &koreDemo{
		APIURL: "http://127.0.0.1:8080/api/", JWTURL: "http://127.0.0.1:8080/sts",
		ClientID: "app_1", ClientSecret: "cs_a=b", Identity: "ann@example.com",
	}
	want.BotInfo.Name, want.BotInfo.ID = "echo", "st-1"
	env := "# comment\nCARNET_USER=ann\n"
	for name, member := range want.members() {
		env += name + "=" + *member + "\n"
	}
	got := readKoreDemo(env)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("readKoreDemo (-want +got):\n%s", d)
	}
	if readKoreDemo("CARNET_USER=ann\n") != nil {
		t.Error("there are values where there are none")
	}

	page, err := got.page()
	if err != nil {
		t.Fatal(err)
	}
	get := func(host string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/kore", nil)
		r.Host = host
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	if w := get("127.0.0.1:8080"); w.Code != 200 || !strings.Contains(w.Body.String(), "cs_a=b") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// a page whose name was made to lead here must not read the secret
	if w := get("evil.example"); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "cs_a=b") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
