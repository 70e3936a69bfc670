package seal

import (
	"encoding/json"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	nonceSize = 12 // bytes of A256GCM's initialization vector (RFC 7518 §5.3)
	tagSize   = 16
)

// compact is a JWE in compact serialization (RFC 7516 §7.1) whose five parts have
// their one spelling.
type compact struct {
	header       []byte // JSON, not looked at yet
	encryptedKey []byte
	iv, text     []byte
	tag          []byte
}

func parseCompact(sealed string) (compact, bool) {
	if len(sealed) > MaxSealed || strings.Count(sealed, ".") != 4 {
		return compact{}, false
	}
	var parts [5][]byte
	rest := sealed
	for i := range parts {
		var text string
		text, rest, _ = strings.Cut(rest, ".")
		if i == 0 && len(text) > maxHeader*4/3 {
			return compact{}, false
		}
		part, ok := jose.Decode(text)
		if !ok {
			return compact{}, false
		}
		parts[i] = part
	}
	return compact{parts[0], parts[1], parts[2], parts[3], parts[4]}, true
}

// header is the protected header of a value sealed to a key. Other members do not exist:
// whatever "zip", "crit", "p2c" or "jku" would ask for is refused.
type header struct {
	alg, enc, kid string
	typ, cty      string
	apu, apv      string     // ECDH-ES only; base64url, mixed into the key (RFC 7518 §4.6.1)
	epk           *ephemeral // ECDH-ES only
}

// ephemeral is the sender's one-time public key (RFC 7518 §4.6.1.1).
type ephemeral struct{ crv, kty, x, y string }

func parseHeader(raw []byte) (header, bool) {
	members, ok := parseMembers(raw)
	if !ok {
		return header{}, false
	}
	var h header
	ok = members.text("alg", &h.alg) && members.text("enc", &h.enc)
	for name, into := range map[string]*string{"kid": &h.kid, "typ": &h.typ, "cty": &h.cty, "apu": &h.apu, "apv": &h.apv} {
		if _, present := members[name]; present {
			ok = ok && members.text(name, into) && *into != ""
		}
	}
	if raw, present := members["epk"]; present {
		delete(members, "epk")
		epk, isObject := parseMembers(raw)
		h.epk = new(ephemeral)
		ok = ok && isObject &&
			epk.text("crv", &h.epk.crv) && epk.text("kty", &h.epk.kty) &&
			epk.text("x", &h.epk.x) && epk.text("y", &h.epk.y) && len(epk) == 0
	}
	return h, ok && len(members) == 0
}

// members are those of a JSON object, by their exact names.
type members map[string]json.RawMessage

func parseMembers(raw []byte) (m members, ok bool) {
	var strict jose.Object // refuses repeated names and bad text, which encoding/json does not
	if strict.Parse(raw) != nil || json.Unmarshal(raw, &m) != nil {
		return nil, false
	}
	return m, true
}

// text takes the string called name out of m.
func (m members) text(name string, into *string) bool {
	raw, ok := m[name]
	delete(m, name)
	return ok && len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}
