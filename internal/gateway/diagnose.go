package gateway

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

// diagnose says what Kong would find wrong with a token that was refused, in
// Kong's order. claim is the one that names the credential. It trusts nothing and admits nothing: where Kong would find
// nothing wrong, what our verifier is stricter about counts as bad claims.
func diagnose(token, claim string) verdict {
	if len(token) > jose.MaxToken {
		return badJSON
	}
	parts := strings.SplitN(token, ".", 3)
	if len(parts) < 3 {
		return badJSON
	}
	var header, claims jose.Object
	headerText, headerErr := base64.RawURLEncoding.DecodeString(parts[0])
	claimsText, claimsErr := base64.RawURLEncoding.DecodeString(parts[1])
	if headerErr != nil || claimsErr != nil || header.Parse(headerText) != nil || !json.Valid(claimsText) {
		return badJSON
	}
	if alg, ok := header.Lookup("alg").Text(); !ok || !jose.Algorithm(alg).Valid() {
		return badAlg
	}
	if claims.Parse(claimsText) != nil {
		return badClaims
	}
	if sig, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil || len(sig) == 0 {
		return badSignature
	}
	key := claims.Lookup(claim)
	if key.Kind == jose.Absent {
		key = header.Lookup(claim)
	}
	if key.Kind == jose.Absent {
		return noIssuer
	}
	if text, ok := key.Text(); !ok || text == "" || !plausible(text) {
		return badIssuer
	}
	if _, canonical := jose.Decode(parts[2]); !canonical { // Kong decodes it, and compares
		return wrongSignature
	}
	return badClaims
}
