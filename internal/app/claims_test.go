package app

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestExpandClaims(t *testing.T) {
	t.Parallel()
	a := &App{ID: "app_1", Name: `"Shop" ${scope}`}
	for name, tc := range map[string]struct{ template, want string }{
		"none":         {"", "null"},
		"empty":        {"{}", "{}"},
		"fixed":        {`{"org": "acme", "level": 3, "beta": true, "none": null, "exact": 12345678901234567890}`, `{"beta":true,"exact":12345678901234567890,"level":3,"none":null,"org":"acme"}`},
		"references":   {`{"app": "${client_id}", "name": "${name}", "can": "${scope}"}`, `{"app":"app_1","can":"read write","name":"\"Shop\" ${scope}"}`},
		"part of text": {`{"tenant": "urn:${client_id}:${client_id}"}`, `{"tenant":"urn:app_1:app_1"}`},
		"deep":         {`{"groups": ["a", "${name}", {"x": "${client_id}"}]}`, `{"groups":["a","\"Shop\" ${scope}",{"x":"app_1"}]}`},
		"a dollar":     {`{"price": "$5 {x}"}`, `{"price":"$5 {x}"}`},
		"may_act":      {`{"may_act": {"sub": "app_2"}}`, `{"may_act":{"sub":"app_2"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := *a
			one.Claims = tc.template
			claims, err := one.ExpandClaims("read write")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(claims); err != nil || string(got) != tc.want {
				t.Errorf("claims = %s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	t.Parallel()
	for name, template := range map[string]string{
		"a list":          `["a"]`,
		"a string":        `"a"`,
		"null":            `null`,
		"two values":      `{} {}`,
		"broken":          `{"a":`,
		"twice":           `{"a": 1, "a": 2}`,
		"iss":             `{"iss": "https://evil.example"}`,
		"sub in capitals": `{"SUB": "ada"}`,
		"exp":             `{"exp": 9999999999}`,
		"scope":           `{"scope": "admin"}`,
		"client_id":       `{"client_id": "x"}`,
		"act":             `{"act": {"sub": "x"}}`,
		"cnf":             `{"cnf": {}}`,
		"active":          `{"active": true}`,
		"token_type":      `{"token_type": "Bearer"}`,
		"other reference": `{"a": "${secret}"}`,
		"half reference":  `{"a": "${client_id"}`,
		"in a list":       `{"a": ["${x}"]}`,
		"reference in it": `{"a": "${cl${name}ient}"}`,
		"too deep":        `{"a": ` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
		"too long":        `{"a": "` + strings.Repeat("x", maxClaims) + `"}`,
	} {
		if _, err := parseClaims(template); err == nil {
			t.Errorf("%s: %s is taken", name, template)
		}
	}
}

// FuzzClaims shows that no template says something in the place of a claim that tokens have.
func FuzzClaims(f *testing.F) {
	f.Add(`{"org": "acme", "app": "${client_id}"}`)
	f.Add(`{"a": ["${name}", {"b": "${scope}"}], "n": 1e400}`)
	f.Fuzz(func(t *testing.T, template string) {
		a := &App{ID: "app_1", Name: "shop", Claims: template}
		claims, err := a.ExpandClaims("read")
		if err != nil || template == "" {
			return
		}
		text, err := json.Marshal(claims)
		if err != nil {
			t.Fatalf("%q becomes what is no JSON: %v", template, err)
		}
		for _, name := range registered {
			if _, ok := claims[name]; ok {
				t.Errorf("%q sets %s: %s", template, name, text)
			}
		}
	})
}
