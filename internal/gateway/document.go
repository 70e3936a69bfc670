package gateway

import (
	"html"
	"strconv"
	"strings"
)

// form is the media type of an error document.
type form string

const (
	jsonForm  form = "application/json"
	htmlForm  form = "text/html"
	plainForm form = "text/plain"
	xmlForm   form = "application/xml"
)

// documents make a document of a message and the request's number in each form but JSON.
var documents = map[form]func(message, number string) string{
	htmlForm: func(message, number string) string {
		return "<!doctype html>\n<html>\n  <head><meta charset=\"utf-8\"><title>Error</title></head>\n" +
			"  <body><h1>Error</h1><p>" + html.EscapeString(message) + ".</p><p>request_id: " + number + "</p></body>\n</html>\n"
	},
	plainForm: func(message, number string) string { return message + "\nrequest_id: " + number + "\n" },
	xmlForm: func(message, number string) string {
		return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>" + html.EscapeString(message) +
			"</message>\n  <requestid>" + number + "</requestid>\n</error>\n"
	},
}

// accepted is the form that an Accept header asks for as Kong reads it: of the media
// types with the greatest weight the first decides, and one that nobody knows means
// JSON, as does no header.
func accepted(header []string) form {
	best, chosen := 0.0, jsonForm
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			if q := weight(parameters); q > best {
				best, chosen = q, formOf(strings.ToLower(strings.TrimSpace(kind)))
			}
		}
	}
	return chosen
}

func formOf(kind string) form {
	switch f := form(kind); f {
	case htmlForm, plainForm, xmlForm:
		return f
	case "text/*":
		return plainForm
	default:
		return jsonForm
	}
}

// weight is the parameter q (RFC 9110 §12.4.2): 1 if there is none, 0 if it is none.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}
