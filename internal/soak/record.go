package soak

// Record is what everybody has seen of a run. Bodies are as [canonical] has them.
type Record struct {
	Clients   []Client
	Calls     []Call               // of the bot, in the order of their beginning
	Forged    int                  // calls whose signature was not right
	Histories map[string][]Message // by conversation, all pages, read at the end
}

// Client is what one client has seen and done.
type Client struct {
	Name, User   string
	Conversation string // "" if the server has never said welcome
	Sends        []Send // in the order in which they were first sent
	Acks         []Ack  // in the order of their coming
	Streams      []Stream
}

// Send is a message that a client has sent, as often as it had to.
type Send struct {
	ID      string
	Body    string
	Refused bool // for good
	// Delayed: it was refused for a while, or sent again since nobody knows what became of
	// it. So later ones may have passed it.
	Delayed bool
}

// Ack is the server's word that a message is stored.
type Ack struct {
	ID  string
	Seq int64
	At  string
}

// Stream is what one connection has brought.
type Stream struct {
	After    int64 // what the hello says that the client has
	Messages []Message
}

// Message is a message as the server shows it.
type Message struct {
	Seq  int64
	ID   string
	From string
	Body string
	At   string
}

// Call is one call of the bot. Moments are counted over all calls.
type Call struct {
	Conversation string
	ID           string // of the message; "" of a welcome
	Seq          int64  // of the message; 0 of a welcome
	Body         string
	Began        int64
	Answered     int64 // before an answer that ends the turn was sent; 0: there was none
}
