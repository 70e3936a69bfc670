package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// token asks the token service for a session token.
func (r *Run) token(ctx context.Context, user string) (string, error) {
	form := url.Values{
		"clientId": {r.c.App}, "clientSecret": {r.c.Secret}, "identity": {user}, "isAnonymous": {"false"},
	}
	var answer struct{ JWT string }
	err := r.ask(ctx, http.MethodPost, "/sts", strings.NewReader(form.Encode()), &answer,
		"Content-Type", "application/x-www-form-urlencoded")
	return answer.JWT, err
}

// ask sends a request to some node and reads what it answers.
func (r *Run) ask(ctx context.Context, method, path string, body io.Reader, answer any, header ...string) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.node()+path, body)
	if err != nil {
		return err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s %s: %d: %s", method, path, resp.StatusCode, text)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// record collects what everybody has seen, and reads the histories page by page.
func (r *Run) record(ctx context.Context) (Record, error) {
	record := Record{Histories: map[string][]Message{}}
	for _, c := range r.clients {
		seen := c.seen()
		record.Clients = append(record.Clients, seen)
		if _, done := record.Histories[seen.Conversation]; done || seen.Conversation == "" {
			continue
		}
		history, err := r.history(ctx, seen.User, seen.Conversation)
		if err != nil {
			return Record{}, err
		}
		record.Histories[seen.Conversation] = history
	}
	r.bot.mu.Lock()
	defer r.bot.mu.Unlock()
	for _, c := range r.bot.calls {
		record.Calls = append(record.Calls, *c)
	}
	record.Forged = r.bot.forged
	return record, nil
}

// history reads all pages. The nodes have just started, and all clients come back at once:
// so it tries again while there is patience.
func (r *Run) history(ctx context.Context, user, conversation string) (all []Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.c.Patience)
	defer cancel()
	for {
		if all, err = r.pages(ctx, user, conversation); err == nil || pause(ctx, 200*time.Millisecond) != nil {
			return all, err
		}
	}
}

func (r *Run) pages(ctx context.Context, user, conversation string) (all []Message, err error) {
	token, err := r.token(ctx, user)
	if err != nil {
		return nil, err
	}
	for before := int64(0); ; before = all[0].Seq {
		path := "/chat/v1/conversations/" + conversation + "/messages?limit=100"
		if before > 0 {
			path += fmt.Sprintf("&before=%d", before)
		}
		var page struct {
			Messages []frame
			More     bool
		}
		if err := r.ask(ctx, http.MethodGet, path, nil, &page, "Authorization", "Bearer "+token); err != nil {
			return nil, err
		}
		older := make([]Message, len(page.Messages), len(page.Messages)+len(all))
		for i, f := range page.Messages {
			older[i] = f.message()
		}
		all = append(older, all...)
		if !page.More || len(page.Messages) == 0 {
			return all, nil
		}
	}
}
