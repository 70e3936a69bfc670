package dump

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

var sameSecrets = cmp.Comparer(func(a, b secret.Bytes) bool { return a.Equal(b) })

// readAll reads a file to its end.
func readAll(file io.Reader) (all []consumer.Entry, err error) {
	r, err := Open(file)
	if err != nil {
		return nil, err
	}
	for {
		e, err := r.Next()
		if err != nil {
			if again, err := r.Next(); errors.Is(err, io.EOF) && again.Key != "" {
				panic("an entry after the end")
			}
			return all, err
		}
		all = append(all, e)
	}
}

func credential(line int, owner, key, value string, edit ...func(*consumer.Entry)) consumer.Entry {
	e := consumer.Entry{Line: line, Owner: owner}
	e.Key, e.Secret, e.Algorithm = key, secret.FromString(value), jose.HS256
	for _, f := range edit {
		f(&e)
	}
	return e
}

func at(t time.Time) func(*consumer.Entry) { return func(e *consumer.Entry) { e.Created = t } }
func tags(names ...string) func(*consumer.Entry) {
	return func(e *consumer.Entry) { e.Tags = names }
}

func rsa(pem string) func(*consumer.Entry) {
	return func(e *consumer.Entry) { e.Algorithm, e.PublicKey = jose.RS256, pem }
}

// kong3 is what pg_dump makes of Kong 3, shortened.
const kong3 = `--
-- PostgreSQL database dump
--

\restrict x

SET statement_timeout = 0;

COPY public.acls (id, created_at, consumer_id, "group", cache_key, tags, ws_id) FROM stdin;
5f0a	2020-06-08 10:11:12+00	c1	device\N	\N	\N	w
\.


--
-- Data for Name: consumers; Type: TABLE DATA; Schema: public; Owner: kong
--

COPY public.consumers (id, created_at, username, custom_id, tags, ws_id, updated_at) FROM stdin;
c1	2020-06-08 10:11:12+00	mobile_device	\N	{sunbird,"a \\"b\\", c"}	w	2020-06-08 10:11:12+00
c2	2021-06-08 10:11:12.345+05:30	\N	id 2	\N	w	\N
\.


COPY public.jwt_secrets (id, created_at, consumer_id, key, secret, algorithm, rsa_public_key, tags, ws_id) FROM stdin;
j1	2020-06-08 10:11:12+00	c1	dev.app-1	s\\e\tc\x41\101\q	HS256	\N	\N	w
j2	2020-06-08 10:11:12+00	c1	mobilev2	\N	RS256	-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----	{}	w
\.


SELECT pg_catalog.setval('public.x', 1, true);
`

var june = time.Date(2020, 6, 8, 10, 11, 12, 0, time.UTC)

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file string
		want []consumer.Entry
	}{
		"CSV": {
			"consumer,key,secret\nann,k1,s1\nbob,\"k,2\",\"s\"\"\n2\"\nann,k3,\n",
			[]consumer.Entry{credential(2, "ann", "k1", "s1"), credential(3, "bob", "k,2", "s\"\n2"), credential(5, "ann", "k3", "")},
		},
		"all columns of CSV, in another order": {
			"\ufeffKey, CONSUMER ,created_at,algorithm,tags,rsa_public_key,secret\r\nk,ann,1591611072,RS256,\"a,b\",\"PEM\",\r\n",
			[]consumer.Entry{credential(2, "ann", "k", "", rsa("PEM"), tags("a", "b"), at(june))},
		},
		"times": {
			"consumer,key,created_at\na,1,\na,2,1591611072000\na,3,2020-06-08T10:11:12Z\na,4,2020-06-08 15:41:12+05:30\n" +
				"a,5,2020-06-08 10:11:12\na,6,2020-06-08 10:11:12.9+00\na,7,2020-06-08\na,8,yesterday\na,9,-1\n",
			[]consumer.Entry{
				credential(2, "a", "1", ""), credential(3, "a", "2", "", at(june)), credential(4, "a", "3", "", at(june)),
				credential(5, "a", "4", "", at(june)), credential(6, "a", "5", "", at(june)),
				credential(7, "a", "6", "", at(june.Add(900*time.Millisecond))), credential(8, "a", "7", "", at(june.Truncate(24*time.Hour))),
				{Line: 9, Bad: `created_at: time "yesterday" is none: write it as in RFC 3339, or in seconds since 1970`},
				{Line: 10, Bad: "created_at: time -1 is out of range"},
			},
		},
		"a row of other width": {
			"consumer,key\na,b\na\na,b,c\n",
			[]consumer.Entry{
				credential(2, "a", "b", ""), {Line: 3, Bad: "has 1 columns, not 2 as the header"}, {Line: 4, Bad: "has 3 columns, not 2 as the header"},
			},
		},
		"header alone": {"consumer,key\n", nil},
		"Kong 3": {kong3, []consumer.Entry{
			{Line: 19, Consumer: &consumer.Info{ID: "c1", Username: "mobile_device", Tags: []string{"sunbird", `a "b", c`}, Created: june}},
			{Line: 20, Consumer: &consumer.Info{ID: "c2", CustomID: "id 2", Created: time.Date(2021, 6, 8, 4, 41, 12, 345e6, time.UTC)}},
			credential(25, "c1", "dev.app-1", "s\\e\tcAAq", at(june)),
			credential(26, "c1", "mobilev2", "", rsa("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), at(june)),
		}},
		"Kong 0.10": {
			"COPY consumers (id, custom_id, username, created_at) FROM stdin;\nc1\t\\N\tann\t1591611072000\n\\.\n" +
				"COPY \"jwt_secrets\" (id, consumer_id, key, secret, created_at, algorithm, rsa_public_key) FROM stdin;\r\n" +
				"j\tc1\tk\ts\t1591611072000\t\\N\t\\N\r\n\\.\r\n",
			[]consumer.Entry{
				{Line: 2, Consumer: &consumer.Info{ID: "c1", Username: "ann", Created: june}},
				credential(5, "c1", "k", "s", at(june)),
			},
		},
		"bad rows of a dump": {
			"COPY jwt_secrets (consumer_id, key, secret, tags, created_at) FROM stdin;\nc\tk\n" +
				"c\tk\ts\\\t\\N\t\\N\nc\tk\ts\t{a\t\\N\nc\tk\ts\t\\N\tx\n\\.\n",
			[]consumer.Entry{
				{Line: 2, Bad: "has 2 columns, not 5"},
				{Line: 3, Bad: "secret: ends in a backslash"},
				{Line: 4, Bad: "tags: expected an array such as {a,b}"},
				{Line: 5, Bad: `created_at: time "x" is none: write it as in RFC 3339, or in seconds since 1970`},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			_, err := z.Write([]byte(tc.file))
			if err = errors.Join(err, z.Close()); err != nil {
				t.Fatal(err)
			}
			for how, file := range map[string]io.Reader{
				"plain": strings.NewReader(tc.file), "gzip": &zipped, "in bytes": iotest.OneByteReader(strings.NewReader(tc.file)),
			} {
				got, err := readAll(file)
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", how, err)
				}
				if diff := cmp.Diff(tc.want, got, sameSecrets); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*maxRow)
	for name, tc := range map[string]struct{ file, want string }{
		"empty":             {"", "empty"},
		"neither":           {"hello\nworld\n", "neither CSV"},
		"other header":      {"a,b,c\n", "neither CSV"},
		"unknown column":    {"consumer,key,colour\n", "line 1: the columns must be of"},
		"column twice":      {"consumer,key,key\n", "line 1: the columns must be of"},
		"stray quote":       {"consumer,key\na,b\"c\n", "line 2: "},
		"open quote":        {"consumer,key\na,\"" + long, "cannot be read"},
		"long row of CSV":   {"consumer,key\na," + long + "\n", "cannot be read"},
		"custom format":     {"PGDMP\x01\x0e", "pg_restore"},
		"not gzip":          {"\x1f\x8bx", "gzip"},
		"cut in gzip":       {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01", "cannot be read"},
		"inserts":           {"-- dump\nINSERT INTO public.consumers VALUES (1);\n", "line 2: rows stand in INSERT"},
		"no such tables":    {"-- dump\nCOPY public.routes (id) FROM stdin;\nx\n\\.\n", "no COPY of consumers"},
		"nothing but SQL":   {"-- dump\n", "no COPY of consumers"},
		"cut in a table":    {"COPY jwt_secrets (consumer_id, key, secret) FROM stdin;\na\tb\tc\n", "line 3: the dump ends amid a table"},
		"cut in another":    {"COPY x (a) FROM stdin;\na\n", "ends amid a table"},
		"no key column":     {"COPY jwt_secrets (consumer_id, secret) FROM stdin;\n\\.\n", "no column key"},
		"COPY from a file":  {"COPY jwt_secrets (consumer_id, key, secret) FROM '/x';\n", "line 1: expected COPY"},
		"COPY without list": {"COPY jwt_secrets FROM stdin;\n", "line 1: expected COPY"},
		"long row":          {"COPY jwt_secrets (consumer_id, key, secret) FROM stdin;\n" + long + "\n\\.\n", "line 2: is longer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readAll(strings.NewReader(tc.file))
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := readAll(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(kong3)))); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a file that fails: %v", err)
	}
}

// escaped writes a value as PostgreSQL does.
func escaped(s string) string {
	if s == "" {
		return `\N`
	}
	return strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\b", `\b`, "\f", `\f`, "\v", `\v`).Replace(s)
}

// FuzzCopy has what is written as PostgreSQL writes it come back, and takes any bytes
// for a dump.
func FuzzCopy(f *testing.F) {
	f.Add("key", "se\\cret", "a\tb\nc", []byte(kong3))
	f.Add("", "\\.", "\\N", []byte("COPY consumers (id, username) FROM stdin;\n\\"))
	f.Fuzz(func(t *testing.T, owner, key, value string, any []byte) {
		file := fmt.Sprintf("COPY jwt_secrets (consumer_id, key, secret) FROM stdin;\n%s\t%s\t%s\n\\.\n", escaped(owner), escaped(key), escaped(value))
		got, err := readAll(strings.NewReader(file))
		if len(file) < maxRow && (!errors.Is(err, io.EOF) || len(got) != 1) {
			t.Fatalf("%q: %v, %v", file, got, err)
		}
		if len(got) == 1 && (got[0].Owner != owner || got[0].Key != key || !got[0].Secret.Equal(secret.FromString(value)) || got[0].Bad != "") {
			t.Errorf("%q, %q, %q come back as %+v", owner, key, value, got[0])
		}
		if all, err := readAll(bytes.NewReader(append([]byte("COPY "), any...))); err == nil || len(all) > bytes.Count(any, []byte("\n"))+1 {
			t.Errorf("%d entries, %v", len(all), err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add("ann", "k", `s",`, []byte("consumer,key\na,b\n"))
	f.Add("a\nb", "\"", "\r", []byte("\xef\xbb\xbfkey,consumer\n\"\n"))
	f.Fuzz(func(t *testing.T, owner, key, value string, any []byte) {
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		line := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") } // as encoding/csv reads it
		file := "consumer,key,secret\n" + quote(owner) + "," + quote(key) + "," + quote(value) + "\n"
		got, err := readAll(strings.NewReader(file))
		if len(file) < maxRow && (!errors.Is(err, io.EOF) || len(got) != 1) {
			t.Fatalf("%q: %v, %v", file, got, err)
		}
		if len(got) == 1 && (got[0].Owner != line(owner) || got[0].Key != line(key) || !got[0].Secret.Equal(secret.FromString(line(value)))) {
			t.Errorf("%q, %q, %q come back as %+v", owner, key, value, got[0])
		}
		if all, err := readAll(bytes.NewReader(append([]byte("consumer,key,"), any...))); err == nil || len(all) > bytes.Count(any, []byte("\n"))+1 {
			t.Errorf("%d entries, %v", len(all), err)
		}
	})
}

func FuzzArray(f *testing.F) {
	f.Add("a", `b "c" \d`, "{a,b}")
	f.Fuzz(func(t *testing.T, a, b, any string) {
		quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
		got, ok := array("{" + quote("x"+a) + "," + quote("y"+b) + "}")
		if diff := cmp.Diff([]string{"x" + a, "y" + b}, got); !ok || diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		array(any)
	})
}

func BenchmarkCopy(b *testing.B) {
	const rows = 1000
	row := "5f0a1c9e-0000-4000-8000-000000000000\t2020-06-08 10:11:12+00\tc1\tdev.sunbird.app-0123456789abcdef0123456789abcdef\tabcdefghijklmnopqrstuvwxyz012345\tHS256\t\\N\t\\N\n"
	file := "COPY public.jwt_secrets (id, created_at, consumer_id, key, secret, algorithm, rsa_public_key, tags) FROM stdin;\n" +
		strings.Repeat(row, rows) + "\\.\n"
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := Open(strings.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		for range rows {
			if e, err := r.Next(); err != nil || e.Bad != "" {
				b.Fatal(e, err)
			}
		}
	}
}
