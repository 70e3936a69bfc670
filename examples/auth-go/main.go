// Auth-go is an Authorization API: it is asked whether the user of a conversation may go
// on, and answers 200, or 403.
package main

import (
	"crypto/subtle"
	"encoding/json"
	"log"
	"net/http"
	"os"
)

// users has the tokens that the bank's own pages gave out.
var users = map[string]string{"t0ken-of-ann": "Ann"}

func verify(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Token string `json:"token"`
	}
	key := []byte(os.Getenv("API_KEY"))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&asked)
	name, known := users[asked.Token]
	switch {
	case len(key) == 0 || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), key) == 0:
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil || !known:
		w.WriteHeader(http.StatusForbidden)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"user": map[string]string{"name": name}})
	}
}

func main() {
	http.HandleFunc("POST /verify", verify)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
