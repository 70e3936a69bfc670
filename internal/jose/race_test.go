//go:build race

package jose

// raceEnabled says that sync.Pool drops what it is given, so that allocations
// cannot be counted.
const raceEnabled = true
