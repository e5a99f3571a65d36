"""Signatures of participant tokens, verified by PyJWT: HS256 and no other algorithm."""

import jwt
from jwt.algorithms import HMACAlgorithm

from meshproxy_cli.tokens.jws import ALGORITHM, SignedToken


class _Hs256(HMACAlgorithm):
    def check_key_length(self, key: bytes) -> str | None:
        """Accept every key: `tokens.apikey.strong_enough` is our rule, which MeshAgent's older keys meet."""
        del key
        return None


_JWS = jwt.PyJWS(algorithms=[])
_JWS.register_algorithm(ALGORITHM, _Hs256(HMACAlgorithm.SHA256))


def signed_by(token: str, signed: SignedToken, secret: str) -> bool:
    """Whether `token`, whose form `tokens.jws.split` has checked, was signed with the secret."""
    del signed
    try:
        _JWS.decode(token, secret, algorithms=[ALGORITHM])
    except jwt.PyJWTError:
        return False
    return True
