package consumer

// Remembered is how many credentials and consumers are in memory, and what they are
// believed to take.
func (r *Registry) Remembered() (credentials, consumers int, bytes int64) {
	for i := range r.known.shards {
		credentials += len(r.known.shards[i].ring)
	}
	return credentials, len(r.book.byID), r.known.size.Load()
}
