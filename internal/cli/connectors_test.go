package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConnectorsRun calls an API with a secret of the node's environment.
func TestConnectorsRun(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "k3y" || string(body) != `{"token":"t0ken"}`:
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/no":
			http.Error(w, "expired", http.StatusForbidden)
		}
		_, _ = io.WriteString(w, `{"user":"ann"}`)
	}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	docs := []string{}
	for _, path := range []string{"yes", "no", "busy"} {
		docs = append(docs, `{"Alias":"`+path+`","Method":"POST","Endpoint":"`+api.URL+`/`+path+`","Body":{},
			"Headers":{"Authorization":"srn:vault::default:secret:auth"},
			"RequestMapping":{"t":{"type":"requestBody","inputPath":"$.t","requestBodyPath":"$.token"}}}`)
	}
	port := api.URL[strings.LastIndex(api.URL, ":")+1:]
	for name, text := range map[string]string{
		"carnet.yaml": "data: " + dir + "/data\nconnectors: [apis.json]\negress: {allow: [127.0.0.0/8], ports: [" + port + "], allow_insecure: true}\n",
		"apis.json":   "[" + strings.Join(docs, ",") + "]",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args string
		exit int
		want string // a part of the output
	}{
		{"yes", 0, `"response": {`},
		{"YES --debug", 0, `"Authorization": "srn:vault::default:secret:auth"`},
		{"no", 3, `"message": "the API answers 403"`},
		{"no --debug", 3, `"response": "expired\n{\"user\":\"ann\"}"`},
		{"busy", 6, `"temporary": true`},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"--config", filepath.Join(dir, "carnet.yaml"), "connectors", "run", "--input", "-"}, strings.Fields(tc.args)...)
		exit := Run(t.Context(), args, IO{
			In: strings.NewReader(`{"t":"t0ken"}`), Out: &out, Err: &errs, Environ: []string{"CARNET_SECRET_DEFAULT__AUTH=k3y"},
		})
		if exit != tc.exit || !strings.Contains(out.String(), tc.want) || !json.Valid(out.Bytes()) {
			t.Errorf("%s: exit %d, want %d\n%s%s, want %s", tc.args, exit, tc.exit, &out, &errs, tc.want)
		}
		if strings.Contains(out.String()+errs.String(), "k3y") {
			t.Errorf("%s shows a secret", tc.args)
		}
	}
}
