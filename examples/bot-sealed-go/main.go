// A bot in Go that nobody listens in on: what visitors say to it, and what it says to
// them, is sealed. Carnet carries it and cannot read it.
//
//	carnet token keygen bot.jwk > bot.public.jwk
//	WEBHOOK_SECRET=… go run ./examples/bot-sealed-go 127.0.0.1:9000 bot.jwk
//
// When the key is to change, name both files, the new one and the old one, until no page
// knows the old one any more.
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
	var files [][]byte
	for _, name := range os.Args[2:] {
		file, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		files = append(files, file)
	}
	keys, err := webhook.ParseKeys(files...)
	if err != nil {
		log.Fatal(err)
	}
	bot, err := webhook.Handler(keys.Bot(answer), os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: os.Args[1], Handler: bot, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// answer sees messages as they were written. What it remembered of them it would remember
// by e.Visitor.ID().
func answer(_ context.Context, e webhook.Event) (webhook.Answer, error) {
	if e.Type != webhook.MessageCreated {
		return webhook.Say("Hello! Nobody but me can read what you say here."), nil // in the clear
	}
	return webhook.Answer{Messages: []webhook.Reply{
		{Text: "Thank you. I have noted **" + e.Text() + "**.", QuickReplies: []string{"Is that all?"}},
	}}, nil
}
