package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/carnetproject/carnet/internal/secret"
)

// signer signs calls as the Standard Webhooks specification says, with each of its keys.
type signer []secret.Bytes

// minSecret is how short a secret may be, in bytes.
const minSecret = 16

// newSigner takes secrets as that specification writes them, whsec_ and base64, or any
// other text, whose bytes are the key.
func newSigner(secrets []secret.Bytes) (signer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("a webhook needs a secret to sign with")
	}
	var keys signer
	for _, s := range secrets {
		key := s.Reveal()
		if encoded, ok := strings.CutPrefix(string(key), "whsec_"); ok {
			decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
			if err != nil {
				return nil, errors.New("a webhook's secret that begins with whsec_ must go on in base64")
			}
			key = decoded
		}
		if len(key) < minSecret {
			return nil, errors.New("a webhook's secret must have at least 16 bytes")
		}
		keys = append(keys, secret.New(key))
	}
	return keys, nil
}

// sign is the value of the header webhook-signature: one signature of each key.
func (s signer) sign(id, timestamp string, body []byte) string {
	var out strings.Builder
	for i, key := range s {
		mac := hmac.New(sha256.New, key.Reveal())
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString("v1,")
		out.WriteString(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return out.String()
}
