package oauth

import "github.com/carnetproject/carnet/internal/signin"

var german = words{
	Lang: "de", Dir: "ltr", Error: "Fehler",

	SignIn: "Anmelden", ToGoOn: "um fortzufahren mit", UserName: "Benutzername", Password: "Passwort",
	Wrong:   "Der Benutzername oder das Passwort ist falsch.",
	TooMany: "Das waren zu viele Versuche. Warten Sie ein wenig und versuchen Sie es dann noch einmal.",
	Busy:    "Das kann gerade nicht geprüft werden. Versuchen Sie es gleich noch einmal.",
	Empty:   "Geben Sie Ihren Benutzernamen und Ihr Passwort ein.",
	Again:   "Diese Seite war zu lange offen, oder inzwischen in einem anderen Tab. Versuchen Sie es noch einmal.",
	Unknown: "Diese Anmeldung kann nicht beginnen", Failed: "Das hat nicht geklappt",
	Stale:   "Es ist niemand mehr angemeldet. Gehen Sie dorthin zurück, woher Sie kamen, und beginnen Sie noch einmal.",
	Cookies: "Dieser Browser hat sein Cookie nicht geschickt. Lassen Sie Cookies für diese Seite zu, gehen Sie dorthin zurück, woher Sie kamen, und beginnen Sie noch einmal.",

	Consents: "Darf %s Ihr Konto benutzen?", SignedInAs: "Sie sind angemeldet als", NotYou: "Sind Sie das nicht?",
	ItCould: "Die App möchte:", BackTo: "Danach geht es zurück zu", TakeBack: "In Ihrem Konto können Sie das zurücknehmen.",
	Allow: "Erlauben", Deny: "Nicht erlauben",
	Rights: map[string]string{
		signin.OpenID:  "wissen, dass Sie es sind, wann immer Sie kommen",
		signin.Profile: "Ihren Benutzernamen kennen",
		signin.Offline: "angemeldet bleiben, während Sie weg sind",
	},
	Other: "in Ihrem Namen benutzen:",

	Account: "Ihr Konto", Places: "Wo Sie angemeldet sind", Here: "dieser Browser", Since: "seit",
	SignOut: "Abmelden", Everywhere: "Überall abmelden", SignOutAsk: "Möchten Sie sich abmelden?", SignedOut: "Sie sind abgemeldet",
	SomeBrowser: "Ein Browser", NoApp: "Eine App",
	ChangePassword: "Passwort ändern", OthersEnd: "Hier bleiben Sie angemeldet, überall sonst werden Sie abgemeldet.",
	OldPassword: "Altes Passwort", NewPassword: "Neues Passwort", Length: "Mindestens 8 Zeichen; am besten ein ganzer Satz.",
	Changed: "Ihr Passwort ist geändert.", WrongOld: "Das alte Passwort ist falsch.",
	BadNew: "Das neue Passwort muss 8 bis 1024 Bytes haben.", Ended: "Diese Anmeldung ist beendet.",
}
