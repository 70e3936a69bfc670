// An Authorization API in Go: it says whether the user with a token may go on.
//
//	API_KEY=… go run ./examples/authorizer 127.0.0.1:9100 ann-s-token
package main

import (
	"crypto/subtle"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"slices"
	"time"
)

func main() {
	if os.Getenv("API_KEY") == "" {
		log.Fatal("API_KEY must be set")
	}
	server := &http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(authorize), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func authorize(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Token string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&asked)
	key := []byte(r.Header.Get("Authorization"))
	switch {
	case subtle.ConstantTimeCompare(key, []byte(os.Getenv("API_KEY"))) == 0:
		w.WriteHeader(http.StatusInternalServerError) // it is not the user who is wrong
	case err != nil || asked.Token == "" || !slices.Contains(os.Args[2:], asked.Token):
		w.WriteHeader(http.StatusUnauthorized) // may not go on
	}
}
