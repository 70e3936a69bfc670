package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/webhook"
)

// pair is a key in the files that its holder and others have.
type pair struct{ private, public []byte }

func newPair(t testing.TB) (p pair) {
	t.Helper()
	k, err := seal.Generate(seal.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	if p.private, err = k.MarshalPrivate(); err != nil {
		t.Fatal(err)
	}
	if p.public, err = k.MarshalPublic(); err != nil {
		t.Fatal(err)
	}
	return p
}

// sealTo seals by another implementation than the one that opens here.
func (p pair) sealTo(t testing.TB, plain string) string {
	t.Helper()
	k, err := seal.ParseKey(p.public)
	if err != nil {
		t.Fatal(err)
	}
	to, err := k.Recipient(seal.Suite{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := to.Seal([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (p pair) open(t testing.TB, sealed string) string {
	t.Helper()
	k, err := seal.ParseKey(p.private)
	if err != nil {
		t.Fatal(err)
	}
	by, err := k.Opener(seal.Suite{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := by.Open(sealed)
	if err != nil {
		t.Fatalf("%v: %s", err, sealed)
	}
	return string(plain)
}

func keysOf(t testing.TB, pairs ...pair) *webhook.Keys {
	t.Helper()
	var files [][]byte
	for _, p := range pairs {
		files = append(files, p.private)
	}
	k, err := webhook.ParseKeys(files...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// said is the event of a message whose body is sealed to the bot.
func said(t testing.TB, bot, visitor pair, conversation, id, body string) webhook.Event {
	t.Helper()
	letter := fmt.Sprintf(`{"from":"user","conversation":%q,"id":%q,"key":%s,"body":%s}`, conversation, id, visitor.public, body)
	wire, err := json.Marshal(map[string]string{"jwe": bot.sealTo(t, letter), "self": "what the visitor reads again"})
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Event{Type: webhook.MessageCreated, Conversation: "cnv_1", Message: &webhook.Message{ID: "m-1", Body: wire}}
}

func TestSealedBot(t *testing.T) {
	t.Parallel()
	bot, before, visitor := newPair(t), newPair(t), newPair(t)
	var heard []string
	same := webhook.Answer{ // each time
		Messages: []webhook.Reply{{Text: "<You> said hi", QuickReplies: []string{"Yes"}}, {Body: map[string]int{"card": 7}}},
		Context:  map[string]any{"asked": true},
	}
	answer := keysOf(t, bot, before).Bot(func(_ context.Context, e webhook.Event) (webhook.Answer, error) {
		heard = append(heard, e.Text()+" of "+e.Visitor.ID())
		return same, nil
	})
	for _, to := range []pair{bot, before} { // a page may still know the key before
		a, err := answer(t.Context(), said(t, to, visitor, "cnv_1", "m-1", `{"text":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		var opened []map[string]any
		for _, m := range a.Messages {
			var letter map[string]any
			if err := json.Unmarshal([]byte(visitor.open(t, m.Body.(webhook.Sealed).JWE)), &letter); err != nil || m.Text != "" || m.QuickReplies != nil {
				t.Fatalf("%+v, %v: want a sealed body alone", m, err)
			}
			opened = append(opened, letter)
		}
		want := []map[string]any{
			{"from": "bot", "conversation": "cnv_1", "id": "m-1/0", "body": map[string]any{"text": "<You> said hi", "quick_replies": []any{"Yes"}}},
			{"from": "bot", "conversation": "cnv_1", "id": "m-1/1", "body": map[string]any{"card": 7.0}},
		}
		if diff := cmp.Diff(want, opened); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"asked": true}, a.Context); diff != "" {
			t.Errorf("context (-want +got):\n%s", diff)
		}
	}
	if len(heard) != 2 || heard[0] != heard[1] || !strings.HasPrefix(heard[0], "hi of ") || len(heard[0]) != len("hi of ")+43 {
		t.Errorf("heard %q", heard)
	}
}

func TestSealedRefusals(t *testing.T) {
	t.Parallel()
	bot, other, visitor := newPair(t), newPair(t), newPair(t)
	keys := keysOf(t, bot)
	good := said(t, bot, visitor, "cnv_1", "m-1", `{"text":"hi"}`)
	var wire webhook.Sealed
	if err := json.Unmarshal(good.Message.Body, &wire); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(good); err != nil {
		t.Fatalf("the message to edit does not open: %v", err)
	}
	parts := strings.Split(wire.JWE, ".")
	edit := func(part int, with string) string {
		p := strings.Split(wire.JWE, ".")
		p[part] = with
		return strings.Join(p, ".")
	}
	raw, _ := jose.Decode(parts[0])
	header := func(old, now string) string {
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("no %s in %s", old, raw)
		}
		return edit(0, jose.Encode(bytes.Replace(raw, []byte(old), []byte(now), 1)))
	}
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"in the clear":             {`{"text":"hi"}`, webhook.ErrPlain},
		"no object":                {`"hi"`, webhook.ErrPlain},
		"jwe of another type":      {`{"jwe":1}`, webhook.ErrPlain},
		"another bot's":            {body(other.sealTo(t, "{}")), webhook.ErrKey},
		"no JWE":                   {body("hi"), webhook.ErrSeal},
		"four parts":               {body(strings.Join(parts[:4], ".")), webhook.ErrSeal},
		"an encrypted key":         {body(edit(1, "AAAA")), webhook.ErrSeal},
		"header is no base64":      {body(edit(0, "!")), webhook.ErrSeal},
		"header is no JSON":        {body(edit(0, "AAAA")), webhook.ErrSeal},
		"alg twice":                {body(header(`{`, `{"alg":"ECDH-ES",`)), webhook.ErrSeal},
		"zip":                      {body(header(`{`, `{"zip":"DEF",`)), webhook.ErrSeal},
		"crit":                     {body(header(`{`, `{"crit":["b64"],`)), webhook.ErrSeal},
		"another alg":              {body(header(`"ECDH-ES"`, `"ECDH-ES+A256KW"`)), webhook.ErrSeal},
		"another enc":              {body(header(`"A256GCM"`, `"A128GCM"`)), webhook.ErrSeal},
		"epk of another curve":     {body(header(`"P-256"`, `"P-384"`)), webhook.ErrSeal},
		"epk off the curve":        {body(header(`"x":"`, `"x":"AAAA`)), webhook.ErrSeal},
		"nonce cut short":          {body(edit(2, parts[2][:8])), webhook.ErrSeal},
		"ciphertext changed":       {body(edit(3, "AAAA"+parts[3][4:])), webhook.ErrSeal},
		"tag of another":           {body(edit(4, "AAAAAAAAAAAAAAAAAAAAAA")), webhook.ErrSeal},
		"tag cut short":            {body(edit(4, parts[4][:16])), webhook.ErrSeal},
		"too long":                 {body(wire.JWE + strings.Repeat("A", 96<<10)), webhook.ErrSeal},
		"no letter":                {body(bot.sealTo(t, `"hi"`)), webhook.ErrSeal},
		"a letter without a key":   {body(bot.sealTo(t, `{"from":"user","conversation":"cnv_1","id":"m-1","body":{}}`)), webhook.ErrSeal},
		"a letter without a body":  {body(bot.sealTo(t, `{"from":"user","conversation":"cnv_1","id":"m-1","key":`+string(visitor.public)+`}`)), webhook.ErrSeal},
		"a key off the curve":      {body(bot.sealTo(t, `{"from":"user","conversation":"cnv_1","id":"m-1","body":{},"key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`)), webhook.ErrSeal},
		"of another conversation":  {string(said(t, bot, visitor, "cnv_2", "m-1", "{}").Message.Body), webhook.ErrSeal},
		"a bot's letter":           {body(bot.sealTo(t, `{"from":"bot","conversation":"cnv_1","id":"m-1","body":{},"key":`+string(visitor.public)+`}`)), webhook.ErrSeal},
		"replayed as another one":  {string(said(t, bot, visitor, "cnv_1", "m-0", "{}").Message.Body), webhook.ErrSeal},
		"an answer shown as asked": {string(said(t, bot, visitor, "cnv_1", "m-1/0", "{}").Message.Body), webhook.ErrSeal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := good
			e.Message = &webhook.Message{ID: "m-1", Body: json.RawMessage(tc.body)}
			if got, err := keys.Open(e); !errors.Is(err, tc.want) || got.Message != nil {
				t.Errorf("Open() = %+v, %v; want %v", got.Message, err, tc.want)
			}
			a, err := keys.Bot(func(context.Context, webhook.Event) (webhook.Answer, error) {
				t.Error("the bot was called")
				return webhook.Answer{}, nil
			})(t.Context(), e)
			if err != nil || len(a.Messages) != 1 || a.Messages[0].Text == "" {
				t.Errorf("Bot() = %+v, %v; want that the visitor is told", a, err)
			}
		})
	}
}

func body(jwe string) string { return fmt.Sprintf(`{"jwe":%q}`, jwe) }

// TestSealedHooks welcomes in the clear, and says nothing else so.
func TestSealedHooks(t *testing.T) {
	t.Parallel()
	bot, visitor := newPair(t), newPair(t)
	keys := keysOf(t, bot)
	opened, err := keys.Open(said(t, bot, visitor, "cnv_1", "m-1", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(opened.Visitor) // as a bot keeps it
	if err != nil {
		t.Fatal(err)
	}
	var v webhook.Visitor
	if err := json.Unmarshal(kept, &v); err != nil || v.ID() != opened.Visitor.ID() {
		t.Fatalf("%s is read as %s, %v", kept, v.ID(), err)
	}
	sealed, err := v.Seal("cnv_1", "order-17-sent", map[string]string{"text": "sent"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := visitor.open(t, sealed.JWE), `{"from":"bot","conversation":"cnv_1","id":"order-17-sent","body":{"text":"sent"}}`; got != want {
		t.Errorf("sealed %s, want %s", got, want)
	}
	for name, tc := range map[string]struct {
		kind   string
		answer webhook.Answer
		ok     bool
	}{
		"welcome":           {webhook.SessionStarted, webhook.Say("Hello!"), true},
		"hook, sealed":      {webhook.UserOffline, webhook.Answer{Messages: []webhook.Reply{{Body: sealed}}}, true},
		"hook, no words":    {webhook.SessionEnded, webhook.Answer{Context: map[string]any{"done": true}}, true},
		"hook in the clear": {webhook.UserOffline, webhook.Say("Your order 4711 waits"), false},
	} {
		bot := keys.Bot(func(context.Context, webhook.Event) (webhook.Answer, error) { return tc.answer, nil })
		if _, err := bot(t.Context(), webhook.Event{Type: tc.kind, Conversation: "cnv_1"}); (err == nil) != tc.ok {
			t.Errorf("%s: error = %v, want success %t", name, err, tc.ok)
		}
	}
	if _, err := v.Seal("cnv_1", "m", strings.Repeat("x", 60<<10)); err == nil {
		t.Error("sealed more than Carnet takes")
	}
	if _, err := v.Seal("cnv_1", "m", func() {}); err == nil {
		t.Error("sealed what is no JSON")
	}
	if err := json.Unmarshal([]byte(`{"kty":"EC"}`), &v); err == nil {
		t.Error("a visitor without a key")
	}
}

func TestSealedBotFails(t *testing.T) {
	t.Parallel()
	bot, visitor := newPair(t), newPair(t)
	e := said(t, bot, visitor, "cnv_1", "m-1", "{}")
	for name, answer := range map[string]func(context.Context, webhook.Event) (webhook.Answer, error){
		"by itself": func(context.Context, webhook.Event) (webhook.Answer, error) {
			return webhook.Answer{}, errors.New("out of order")
		},
		"says a lot": func(context.Context, webhook.Event) (webhook.Answer, error) {
			return webhook.Say(strings.Repeat("x", 60<<10)), nil
		},
	} {
		if _, err := keysOf(t, bot).Bot(answer)(t.Context(), e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestKeysOfBots(t *testing.T) {
	t.Parallel()
	p, q := newPair(t), newPair(t)
	var mixed map[string]string
	if err := json.Unmarshal(p.private, &mixed); err != nil {
		t.Fatal(err)
	}
	var other map[string]string
	if err := json.Unmarshal(q.private, &other); err != nil {
		t.Fatal(err)
	}
	mixed["d"] = other["d"]
	halves, err := json.Marshal(mixed)
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][][]byte{
		"none":        nil,
		"no JSON":     {[]byte("key")},
		"public":      {p.public},
		"one public":  {p.private, q.public},
		"halves":      {halves},
		"a secret":    {[]byte(`{"kty":"oct","k":"AAAA"}`)},
		"no point":    {[]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}`)},
		"other curve": {[]byte(strings.Replace(string(p.private), "P-256", "P-384", 1))},
	} {
		if _, err := webhook.ParseKeys(files...); err == nil {
			t.Errorf("%s: took it", name)
		}
	}
}

// FuzzOpenSealed looks for a message that opens and is not the seed.
func FuzzOpenSealed(f *testing.F) {
	bot, visitor := newPair(f), newPair(f)
	keys, good := keysOf(f, bot), said(f, bot, visitor, "cnv_1", "m-1", "{}")
	var wire webhook.Sealed
	if err := json.Unmarshal(good.Message.Body, &wire); err != nil {
		f.Fatal(err)
	}
	f.Add(wire.JWE)
	f.Add("....")
	f.Fuzz(func(t *testing.T, jwe string) {
		e := good
		text, err := json.Marshal(webhook.Sealed{JWE: jwe})
		if err != nil {
			t.Fatal(err)
		}
		e.Message = &webhook.Message{ID: "m-1", Body: text}
		if _, err := keys.Open(e); err == nil && jwe != wire.JWE {
			t.Errorf("opened %q", jwe)
		}
	})
}

func ExampleKeys_Bot() {
	keys, err := webhook.ParseKeys([]byte(`{"kty":"EC","crv":"P-256","d":"r_kHyZ-a06rmxM3yESK84r1otSg-aQcVStkRhA-iCM8","x":"Ze2loSV3wrroKUN_4zhwGhCqo3Xhu1td4QjeQ5wIVR0","y":"HlLtdXARY_f55A3fnzQbPcm6hgr34Mp8p-nuzQCE0Zw"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	bot := keys.Bot(func(_ context.Context, e webhook.Event) (webhook.Answer, error) {
		return webhook.Say("You said: " + e.Text()), nil // nobody between reads either
	})
	a, err := bot(context.Background(), webhook.Event{Message: &webhook.Message{Body: json.RawMessage(`{"text":"hi"}`)}})
	fmt.Println(a.Messages[0].Text, err)
	// Output: I take encrypted messages alone, and yours was not. Please reload the page. <nil>
}
