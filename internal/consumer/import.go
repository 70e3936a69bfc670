package consumer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// imports is the part of the store that takes many credentials at once.
type imports interface {
	// Import adds a batch in one transaction.
	Import(ctx context.Context, name string, b Batch) error
	// ImportProgress returns what the last batch of that name has saved, "" if none has.
	ImportProgress(ctx context.Context, name string) (string, error)
	// EndImport forgets what was saved.
	EndImport(ctx context.Context, name string) error
}

// Batch is a part of an import.
type Batch struct {
	Records []Record // sealed, each key once, in the order of keys: so the index is written in order
	// Clash decides about a record whose key is there: true replaces what is there.
	Clash func(have, want *Record) (replace bool)
	// Progress is saved with the records; it is asked for when they are all in.
	Progress func() string
}

// Entry is one row of what is imported: a consumer or a credential.
type Entry struct {
	Line     int
	Consumer *Info  // nil: a credential
	Owner    string // id or username of the credential's consumer
	Record          // its Key, Algorithm, Secret, PublicKey, Tags and Created
	Bad      string // why the row cannot be read; "" if it can
}

// ImportOptions says how to import. The zero value adds what is not there.
type ImportOptions struct {
	Replace bool               // credentials that are there and differ
	Restart bool               // from the first row, although an earlier run was cut off
	DryRun  bool               // write nothing
	Report  func(ImportReport) // called now and then; nil: not
}

// ImportReport is what became of the rows.
type ImportReport struct {
	Rows      int64 `json:"rows"`      // read by this run and those before it that were cut off
	Consumers int64 `json:"consumers"` // added
	Added     int64 `json:"added"`     // credentials
	Same      int64 `json:"same"`      // that were there just so
	Replaced  int64 `json:"replaced"`
	Clashes   int64 `json:"clashes"` // that are there and differ: left as they are
	Rejected  int64 `json:"rejected"`
	Resumed   int64 `json:"resumed"` // Rows when this run began

	Problems []ImportProblem `json:"-"` // the first of this run's
}

// ImportProblem is why a row was not taken.
type ImportProblem struct {
	Line   int
	Reason string
}

const (
	importChunk  = 200_000           // entries that are sorted together
	importBytes  = 64 << 20          // of them in memory
	importBatch  = 4096              // entries of one transaction
	importLayout = "carnet import 1" // changes when one of these does: it would move rows
	maxProblems  = 20
)

// source gives entries, and io.EOF after the last.
type source interface{ Next() (Entry, error) }

// Import adds the entries of a source. What it has done is saved with every batch, so
// that a run that was cut off, even by kill -9, is continued by the next one with the
// same entries. Entries that cannot be taken are reported and passed over. Memory does
// not grow with their number.
func (r *Registry) Import(ctx context.Context, from source, o ImportOptions) (ImportReport, error) {
	im := &importer{
		registry: r, source: from, options: o, digest: sha256.New(),
		owners: map[string]string{}, aliases: map[string]string{},
	}
	err := im.run(ctx)
	return im.report, err
}

// importer is one run of an import.
type importer struct {
	registry *Registry
	source   source
	options  ImportOptions
	name     string // what its progress is saved under
	report   ImportReport

	ahead  *Entry    // read, but not part of a chunk yet
	read   int64     // entries of chunks so far
	digest hash.Hash // of those

	owners  map[string]string // id or username → id of the consumer, "" if there is none
	aliases map[string]string // id in the source → id of the consumer that has its username
}

// importState is what is saved.
type importState struct {
	Read   int64        `json:"read"`   // entries of the chunks that are all in
	Done   int          `json:"done"`   // entries of the chunk after them, in order
	Digest []byte       `json:"digest"` // of the former and that chunk, sealed: secrets are in it
	Report ImportReport `json:"report"`
}

func (im *importer) run(ctx context.Context) error {
	saved, err := im.begin(ctx)
	if err != nil {
		return err
	}
	for chunk := []*Entry(nil); ; chunk = chunk[:0] {
		at := importState{Read: im.read}
		if chunk, err = im.fill(chunk); err != nil {
			return err
		}
		switch {
		case len(chunk) > 0 && at.Read < saved.Read:
			err = im.pass(ctx, chunk)
		case saved.Digest != nil && (at.Read != saved.Read || !im.agrees(saved.Digest)):
			err = fault.New(fault.Conflict, "this is not all that an earlier import began with, and was cut off: begin anew with --restart")
		case len(chunk) > 0:
			if saved.Digest != nil {
				im.report = saved.Report
				im.report.Resumed = im.report.Rows
			}
			if at.Digest, err = im.registry.box.SealBytes(im.purpose(), im.digest.Sum(nil)); err == nil {
				err = im.chunk(ctx, at, chunk, saved.Done)
			}
			saved = importState{}
		case im.options.DryRun:
			return nil
		default:
			return wrap("end import", im.registry.store.EndImport(ctx, im.name))
		}
		if err != nil {
			return err
		}
	}
}

// begin reads the first entry, by which the import is known, and how far it has come.
func (im *importer) begin(ctx context.Context) (saved importState, err error) {
	first, err := im.source.Next()
	if errors.Is(err, io.EOF) {
		return saved, nil
	}
	if err != nil {
		return saved, err
	}
	im.ahead = &first
	name := first
	name.Secret = secret.Bytes{}
	h := sha256.New()
	h.Write([]byte(importLayout))
	name.hash(h)
	im.name = hex.EncodeToString(h.Sum(nil))
	if im.options.Restart || im.options.DryRun {
		return saved, nil
	}
	text, err := im.registry.store.ImportProgress(ctx, im.name)
	if err != nil || text == "" {
		return saved, wrap("continue import", err)
	}
	return saved, wrap("continue import", json.Unmarshal([]byte(text), &saved))
}

func (im *importer) purpose() string { return "import:" + im.name }

// agrees tells whether what was read so far is what an earlier run had read.
func (im *importer) agrees(digest []byte) bool {
	was, err := im.registry.box.OpenBytes(im.purpose(), digest)
	return err == nil && bytes.Equal(was, im.digest.Sum(nil))
}

// fill reads a chunk. Where it ends depends on the entries alone.
func (im *importer) fill(chunk []*Entry) ([]*Entry, error) {
	for size := 0; len(chunk) < importChunk && size < importBytes; {
		e := im.ahead
		if e == nil {
			next, err := im.source.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			e = &next
		}
		im.ahead = nil
		e.hash(im.digest)
		im.read++
		size += e.size()
		chunk = append(chunk, e)
	}
	return chunk, nil
}

// hash writes all that e is.
func (e *Entry) hash(h hash.Hash) {
	texts := []string{e.Owner, e.Key, string(e.Algorithm), string(e.Secret.Reveal()), e.PublicKey, e.Bad}
	if c := e.Consumer; c != nil {
		texts = append(texts, c.ID, c.Username, c.CustomID)
	}
	text := binary.AppendVarint(nil, int64(e.Line))
	for _, t := range texts {
		text = append(binary.AppendUvarint(text, uint64(len(t))), t...)
	}
	h.Write(text)
}

// size is about what e takes in memory.
func (e *Entry) size() int {
	n := 256 + len(e.Owner) + len(e.Key) + e.Secret.Len() + len(e.PublicKey) + len(e.Bad)
	if c := e.Consumer; c != nil {
		n += 256 + len(c.ID) + len(c.Username) + len(c.CustomID)
	}
	for _, t := range e.Tags {
		n += 16 + len(t)
	}
	return n
}

// pass looks at the consumers of a chunk that an earlier run has taken in.
func (im *importer) pass(ctx context.Context, chunk []*Entry) error {
	for _, e := range chunk {
		if e.Consumer == nil {
			continue
		}
		if _, err := im.known(ctx, e.Consumer); err != nil {
			return err
		}
	}
	return nil
}
