package bot

import "context"

// Greeting is a bot that is not asked to welcome anybody: it says Text, or nothing if
// that is empty. All else is up to Bot.
type Greeting struct {
	Bot
	Text string
}

// Answer greets, or asks the bot.
func (g Greeting) Answer(ctx context.Context, t Turn) (Answer, error) {
	if t.Kind == Welcome {
		return g.greet()
	}
	return g.Bot.Answer(ctx, t)
}

// Stream greets, or lets the bot stream if it can.
func (g Greeting) Stream(ctx context.Context, t Turn, tell func(Delta)) (Answer, error) {
	if t.Kind == Welcome {
		return g.greet()
	}
	if s, ok := g.Bot.(Streamer); ok {
		return s.Stream(ctx, t, tell)
	}
	return g.Bot.Answer(ctx, t)
}

func (g Greeting) greet() (Answer, error) {
	if g.Text == "" {
		return Answer{}, nil
	}
	return say(text{Text: g.Text})
}
