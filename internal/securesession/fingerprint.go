package securesession

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/carnetproject/carnet/internal/secret"
)

// Inputs are the values that an authorizer reads of a context, by the name of what reads
// them. A nil one is not there, which is something else than null.
type Inputs map[string]json.RawMessage

// fingerprint is a keyed hash of whose the inputs are, and of them: whoever reads a record
// without the key cannot try which token it was. Two inputs of one identity have the same one exactly if they
// have the same names and, as JSON, the same values; numbers are the same if they are
// spelled alike.
func fingerprint(key secret.Bytes, identity string, in Inputs) [32]byte {
	mac := hmac.New(sha256.New, key.Reveal())
	frame(mac, []byte(identity))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		frame(mac, []byte(name))
		switch value, err := canonical(in[name]); {
		case in[name] == nil:
			mac.Write([]byte{absent})
		case err != nil:
			mac.Write([]byte{broken})
			frame(mac, in[name])
		default:
			mac.Write([]byte{present})
			frame(mac, value)
		}
	}
	return [32]byte(mac.Sum(nil))
}

// Revision is a keyed hash of the policy and of the revision of what it names, which may
// tell of secrets.
func (p *Policy) Revision(key secret.Bytes, of string) [32]byte {
	mac := hmac.New(sha256.New, key.Reveal())
	fmt.Fprintf(mac, "%#v\n%q", *p, of)
	return [32]byte(mac.Sum(nil))
}

// sum is unlike that of another identity or context.
func (s Subject) sum() [32]byte {
	h := sha256.New()
	frame(h, []byte(s.Identity))
	h.Write(s.Context)
	return [32]byte(h.Sum(nil))
}

// The kinds of values in a fingerprint.
const (
	absent byte = iota
	present
	broken // no JSON: stands for itself
)

// frame writes b with its length in front, so that no two lists of strings look alike.
func frame(to hash.Hash, b []byte) {
	to.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
	to.Write(b)
}

// canonical is raw with its members in order, without white space, and with numbers as
// they were written.
func canonical(raw json.RawMessage) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.InputOffset() != int64(len(bytes.TrimRight(raw, " \t\r\n"))) {
		return nil, errTrailing
	}
	return json.Marshal(v)
}
