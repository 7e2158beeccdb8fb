"""Verifies Munjigi's access tokens. What a token must be is fixed here; nothing is taken from the token itself."""

from typing import Any

import jwt


class Verifier:
    """Holds the keys of one issuer. One for the whole process; safe to share between threads."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = jwt.PyJWKClient(
            f"{issuer}/.well-known/jwks.json",
            lifespan=300,
            # A stranger chooses the `kid`: an unknown one must not cost a request each time.
            cooldown_duration=30,
            timeout=5,
        )

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims, or None if the token is not ours or not in force.

        Raises `jwt.PyJWKClientConnectionError` when the keys cannot be had, which says nothing about the token.
        """
        try:
            claims = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token),
                algorithms=["ES256"],
                issuer=self._issuer,
                audience=self._audience,
                leeway=5,
                options={"require": ["sub", "exp"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise
        except jwt.PyJWTError:
            return None
        return claims if claims.get("token_use") == "access" else None
