// A service that answers only to Munjigi's users: 200 and who it is, or 401. It does not start without keys.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
)

var bearer = regexp.MustCompile(`^(?i:bearer) ([A-Za-z0-9._-]+)$`)

func main() {
	verifier, err := NewVerifier(context.Background(), env("ISSUER", "http://127.0.0.1:3000"), env("AUDIENCE", "munjigi"))
	if err != nil {
		log.Fatal("no keys: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+env("PORT", "4000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, whoAmI(verifier)))
}

func whoAmI(verifier *Verifier) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := bearer.FindStringSubmatch(r.Header.Get("Authorization"))
		if token == nil {
			refuse(w, `Bearer`)
			return
		}
		claims, err := verifier.Verify(token[1])
		if err != nil {
			refuse(w, `Bearer error="invalid_token"`)
			return
		}
		answer(w, http.StatusOK, map[string]string{"sub": claims.Subject, "email": claims.Email})
	}
}

func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	answer(w, http.StatusUnauthorized, map[string]string{"error": "unauthenticated"})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
