package app

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func TestRegistrationValidate(t *testing.T) {
	t.Parallel()
	network := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for name, tc := range map[string]struct {
		edit  func(*Registration)
		field string // "" if it is fine
	}{
		"least":                  {func(*Registration) {}, ""},
		"UTF-8 name":             {func(r *Registration) { r.Name = "Zürich Chat" }, ""},
		"no name":                {func(r *Registration) { r.Name = "" }, "name"},
		"long name":              {func(r *Registration) { r.Name = strings.Repeat("x", 129) }, "name"},
		"line in name":           {func(r *Registration) { r.Name = "a\nb" }, "name"},
		"broken name":            {func(r *Registration) { r.Name = "a\xff" }, "name"},
		"token":                  {func(r *Registration) { r.Identity = Token }, ""},
		"unknown identity":       {func(r *Registration) { r.Identity = "admin" }, "identity"},
		"trusted networks":       {func(r *Registration) { r.Identity, r.TrustedNetworks = Trusted, network }, ""},
		"networks of any mode":   {func(r *Registration) { r.Networks, r.HTTPSOnly = network, true }, ""},
		"network with host bits": {func(r *Registration) { r.Networks = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16")} }, "networks[0]"},
		"networks for anonymous": {func(r *Registration) { r.TrustedNetworks = network }, "trusted_networks"},
		"host bits": {func(r *Registration) {
			r.Identity, r.TrustedNetworks = Trusted, []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16")}
		}, "trusted_networks[0]"},
		"zero network": {func(r *Registration) {
			r.Identity, r.TrustedNetworks = Trusted, []netip.Prefix{{}}
		}, "trusted_networks[0]"},
		"connector": {func(r *Registration) {
			r.Identity, r.Connector, r.Cookies = Connector, "me", []string{"sid", "__Host-a"}
		}, ""},
		"public, connector":    {func(r *Registration) { r.Public, r.Identity, r.Connector = true, Connector, "me" }, ""},
		"no connector":         {func(r *Registration) { r.Identity = Connector }, "connector"},
		"connector, anonymous": {func(r *Registration) { r.Connector = "me" }, "connector"},
		"cookies, token":       {func(r *Registration) { r.Identity, r.Cookies = Token, []string{"sid"} }, "cookies"},
		"no cookie":            {func(r *Registration) { r.Identity, r.Connector, r.Cookies = Connector, "me", []string{"a b"} }, "cookies[0]"},
		"cookie with a value":  {func(r *Registration) { r.Identity, r.Connector, r.Cookies = Connector, "me", []string{"a", "b=c"} }, "cookies[1]"},
		"cookie twice":         {func(r *Registration) { r.Identity, r.Connector, r.Cookies = Connector, "me", []string{"a", "a"} }, "cookies[1]"},
		"long cookie": {func(r *Registration) {
			r.Identity, r.Connector, r.Cookies = Connector, "me", []string{strings.Repeat("x", 129)}
		}, "cookies[0]"},
		"many cookies": {func(r *Registration) {
			r.Identity, r.Connector, r.Cookies = Connector, "me", strings.Split("a b c d e f g h i j k l m n o p q", " ")
		}, "cookies"},
		"origin":               {func(r *Registration) { r.Origins = []string{"https://a.example", "http://localhost:3000"} }, ""},
		"IPv6 origin":          {func(r *Registration) { r.Origins = []string{"http://[::1]:3000"} }, ""},
		"origin with slash":    {func(r *Registration) { r.Origins = []string{"https://a.example/"} }, "origins[0]"},
		"origin in capitals":   {func(r *Registration) { r.Origins = []string{"https://A.example"} }, "origins[0]"},
		"origin, default port": {func(r *Registration) { r.Origins = []string{"https://a.example:443"} }, "origins[0]"},
		"origin with user":     {func(r *Registration) { r.Origins = []string{"https://u@a.example"} }, "origins[0]"},
		"wildcard origin":      {func(r *Registration) { r.Origins = []string{"*"} }, "origins[0]"},
		"wildcard host":        {func(r *Registration) { r.Origins = []string{"https://*.a.example"} }, "origins[0]"},
		"null origin":          {func(r *Registration) { r.Origins = []string{"null"} }, "origins[0]"},
		"other scheme":         {func(r *Registration) { r.Origins = []string{"file://a"} }, "origins[0]"},
		"bare port":            {func(r *Registration) { r.Origins = []string{"https://a.example", "https://:80"} }, "origins[1]"},
		"empty port":           {func(r *Registration) { r.Origins = []string{"https://a.example:"} }, "origins[0]"},
		"audience":             {func(r *Registration) { r.Audience = "https://chat.example/" }, ""},
		"broken audience":      {func(r *Registration) { r.Audience = "\x00" }, "audience"},
		"session algorithm":    {func(r *Registration) { r.SessionAlgorithm = jose.EdDSA }, ""},
		"session by secret":    {func(r *Registration) { r.SessionAlgorithm = jose.HS512 }, ""},
		"session of no key":    {func(r *Registration) { r.SessionAlgorithm = jose.RS256 }, "session_algorithm"},
		"no such algorithm":    {func(r *Registration) { r.SessionAlgorithm = "none" }, "session_algorithm"},
		"public":               {func(r *Registration) { r.Public = true }, ""},
		"public, token":        {func(r *Registration) { r.Public, r.Identity = true, Token }, ""},
		"public, trusted":      {func(r *Registration) { r.Public, r.Identity = true, Trusted }, "identity"},
		"public, by secret":    {func(r *Registration) { r.Public, r.SessionAlgorithm = true, jose.HS256 }, "session_algorithm"},
		"public, scopes":       {func(r *Registration) { r.Public, r.Scopes = true, []string{"chat"} }, "scopes"},
		"access RS256":         {func(r *Registration) { r.AccessAlgorithm = jose.RS256 }, ""},
		"access of no key":     {func(r *Registration) { r.AccessAlgorithm = jose.PS256 }, "access_algorithm"},
		"access HS256":         {func(r *Registration) { r.AccessAlgorithm = jose.HS256 }, "access_algorithm"},
		"access none":          {func(r *Registration) { r.AccessAlgorithm = "none" }, "access_algorithm"},
		"scopes":               {func(r *Registration) { r.Scopes = []string{"chat", "orders:read", "https://x/y"} }, ""},
		"blank in scope":       {func(r *Registration) { r.Scopes = []string{"chat orders"} }, "scopes[0]"},
		"empty scope":          {func(r *Registration) { r.Scopes = []string{"chat", ""} }, "scopes[1]"},
		"quote in scope":       {func(r *Registration) { r.Scopes = []string{`a"b`} }, "scopes[0]"},
		"long scope":           {func(r *Registration) { r.Scopes = []string{strings.Repeat("x", 129)} }, "scopes[0]"},
		"many scopes":          {func(r *Registration) { r.Scopes = strings.Fields(strings.Repeat("x ", 65)) }, "scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Registration{Name: "demo"}
			tc.edit(&r)
			wantField(t, r.withDefaults(keySets).validate(keySets), tc.field)
		})
	}
}

// wantField wants a fault of the member field, none if that is "".
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	switch {
	case field == "" && err != nil:
		t.Errorf("error = %v, want nil", err)
	case field != "" && (!ok || e.Kind != fault.Invalid || e.Field != field):
		t.Errorf("error = %v, want a fault of %s", err, field)
	}
}

func TestValidateJoinsAllFaults(t *testing.T) {
	t.Parallel()
	_, _, err := open(t).Add(t.Context(), Registration{Identity: "x", Scopes: []string{""}})
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok || len(joined.Unwrap()) != 3 {
		t.Errorf("Add() = %v, want name, identity and scopes[0]", err)
	}
}
