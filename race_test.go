//go:build race

package carnet

// raceEnabled says that sync.Pool drops what it is given, so that allocations
// cannot be counted.
const raceEnabled = true
