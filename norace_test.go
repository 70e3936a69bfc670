//go:build !race

package carnet

const raceEnabled = false
