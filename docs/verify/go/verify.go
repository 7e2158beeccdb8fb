// Verifies Munjigi's access tokens. What a token must be is fixed here; nothing is taken from the token itself.

package main

import (
	"context"
	"errors"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Claims are what an access token says, as far as this service reads it.
type Claims struct {
	jwt.RegisteredClaims
	Email    string `json:"email"`
	TokenUse string `json:"token_use"`
}

// Validate is called by the parser, after its own checks.
func (c Claims) Validate() error {
	if c.TokenUse != "access" || c.Subject == "" {
		return errors.New("not an access token")
	}
	return nil
}

// Verifier holds the keys of one issuer. One for the whole process; safe for concurrent use.
type Verifier struct {
	keys   keyfunc.Keyfunc
	parser *jwt.Parser
}

// NewVerifier fetches the keys, and again every five minutes until ctx ends; while Munjigi cannot be reached the last
// ones stay. It returns an error if the first ones cannot be had.
func NewVerifier(ctx context.Context, issuer, audience string) (*Verifier, error) {
	startWithoutKeys := false
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{issuer + "/.well-known/jwks.json"}, keyfunc.Override{
		NoErrorReturnFirstHTTPReq: &startWithoutKeys,
		HTTPTimeout:               5 * time.Second,
		RefreshInterval:           5 * time.Minute,
		// A stranger chooses the `kid`: an unknown one must neither cost a request each time nor wait for its turn.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(30*time.Second), 1),
		RateLimitWaitMax:  time.Second,
	})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(5*time.Second),
		jwt.WithStrictDecoding(),
	)
	return &Verifier{keys: keys, parser: parser}, nil
}

// Verify returns the claims, or an error if the token is not ours or not in force. The error is for a debugger: do not
// send it to the caller.
func (v *Verifier) Verify(token string) (*Claims, error) {
	claims := &Claims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.keys.Keyfunc); err != nil {
		return nil, err
	}
	return claims, nil
}
