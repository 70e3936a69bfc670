// A bot in Go: it says when the user's order comes.
//
//	WEBHOOK_SECRET=… go run ./examples/bot-go 127.0.0.1:9000
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/carnetproject/carnet/webhook"
)

func main() {
	bot, err := webhook.Handler(answer, os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: os.Args[1], Handler: bot, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func answer(_ context.Context, e webhook.Event) (webhook.Answer, error) {
	if e.Type != webhook.MessageCreated {
		return webhook.Say("Hello! What is your order's number?"), nil
	}
	return webhook.Say("Order "+e.Text()+" is on its way.", "It comes tomorrow."), nil
}
