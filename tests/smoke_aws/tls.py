"""One handshake in one version of TLS."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

OURS = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "NO_CIPHER_MATCH", "INTERNAL_ERROR")
"""Reasons for which this machine's OpenSSL does not even begin."""


@dataclass(frozen=True)
class Handshake:
    """How a handshake ended; ``accepted`` is None where this machine could not begin it."""

    accepted: bool | None
    told: str


def context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Give a context that speaks this version alone; OpenSSL's own level rules out the old ones."""
    only = ssl.create_default_context()
    if version < ssl.TLSVersion.TLSv1_2:
        only.set_ciphers("DEFAULT:@SECLEVEL=0")
    only.minimum_version = ssl.TLSVersion.TLSv1
    only.maximum_version = version
    only.minimum_version = version
    return only


def handshake(host: str, version: ssl.TLSVersion, port: int = 443) -> Handshake:
    """Shake hands with ``host``.

    Raises `OSError` where no connection comes about, `ssl.SSLCertVerificationError` where it is not the host.
    """
    only = context(version)
    with socket.create_connection((host, port), timeout=10) as plain:
        try:
            with only.wrap_socket(plain, server_hostname=host) as wrapped:
                return Handshake(True, f"works ({wrapped.version()})")
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            if reason in OURS:
                return Handshake(None, f"cannot be spoken by this machine ({reason})")
            return Handshake(False, f"is refused ({reason})")
        except ConnectionError as error:
            return Handshake(False, f"is refused ({error})")
