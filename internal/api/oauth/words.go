package oauth

import "github.com/carnetproject/carnet/internal/signin"

// words are all that the pages say, in one language.
type words struct {
	Lang, Dir string // as HTML has them
	Error     string // before the title of a page with a problem

	// Signing in.
	SignIn, ToGoOn, UserName, Password string
	Wrong, TooMany, Busy, Empty, Again string
	Unknown, Failed, Stale, Cookies    string
	Consents                           string // with the app's name in it
	SignedInAs, NotYou, ItCould        string
	BackTo, TakeBack, Allow, Deny      string
	Rights                             map[string]string // by scope
	Other                              string            // of any other scope, which stands behind it

	// The account.
	Account, Places, Here, Since               string
	SignOut, Everywhere, SignOutAsk, SignedOut string
	SomeBrowser, NoApp                         string
	ChangePassword, OthersEnd, OldPassword     string
	NewPassword, Length, Changed, WrongOld     string
	BadNew, Ended                              string
}

var english = words{
	Lang: "en", Dir: "ltr", Error: "Error",

	SignIn: "Sign in", ToGoOn: "to go on to", UserName: "User name", Password: "Password",
	Wrong:   "The user name or the password is wrong.",
	TooMany: "There were too many tries. Wait a little, then try again.",
	Busy:    "That cannot be checked right now. Try again in a moment.",
	Empty:   "Enter your user name and your password.",
	Again:   "This page was open for too long, or in another tab meanwhile. Try again.",
	Unknown: "This sign-in cannot begin", Failed: "That did not work",
	Stale:   "Nobody is signed in any more. Go back to where you came from, and begin again.",
	Cookies: "This browser has not sent its cookie. Allow cookies for this site, go back to where you came from, and begin again.",

	Consents: "Let %s use your account?", SignedInAs: "You are signed in as", NotYou: "Not you?",
	ItCould: "It wants to:", BackTo: "Afterwards you are sent back to", TakeBack: "You can take this back in your account.",
	Allow: "Allow", Deny: "Do not allow",
	Rights: map[string]string{
		signin.OpenID:  "know that it is you, each time you come",
		signin.Profile: "know your user name",
		signin.Offline: "stay signed in while you are away",
	},
	Other: "use on your behalf:",

	Account: "Your account", Places: "Where you are signed in", Here: "this browser", Since: "since",
	SignOut: "Sign out", Everywhere: "Sign out everywhere", SignOutAsk: "Do you want to sign out?", SignedOut: "You are signed out",
	SomeBrowser: "A browser", NoApp: "An app",
	ChangePassword: "Change password", OthersEnd: "You stay signed in here, and are signed out everywhere else.",
	OldPassword: "Old password", NewPassword: "New password", Length: "At least 8 characters; a whole sentence is best.",
	Changed: "Your password is changed.", WrongOld: "The old password is wrong.",
	BadNew: "The new password must have 8 to 1024 bytes.", Ended: "That sign-in has ended.",
}
