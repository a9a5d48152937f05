from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.smoke_aws import tls


@pytest.fixture(params=["TLSv1_2"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a trusted host on this machine that takes the version given, and newer ones."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("DEFAULT:@SECLEVEL=0")
    server.minimum_version = ssl.TLSVersion[request.param]
    server.load_cert_chain(certificate(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=answer_one, args=(listener, server))
    thread.start()
    yield int(listener.getsockname()[1])
    thread.join(10)
    listener.close()


def answer_one(listener: socket.socket, server: ssl.SSLContext) -> None:
    plain, _ = listener.accept()
    with plain:
        try:
            server.wrap_socket(plain, server_side=True).close()
        except ssl.SSLError:
            return


def certificate(folder: Path) -> Path:
    """Key and certificate of localhost in one file, made once."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    file = folder / "localhost.pem"
    if file.exists():
        return file
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + signed.public_bytes(encoding))
    return file


def test_tls_1_3_works_with_a_modern_host(host: int) -> None:
    assert tls.handshake("localhost", ssl.TLSVersion.TLSv1_3, host).accepted


def test_tls_1_1_is_refused_by_a_modern_host(host: int) -> None:
    found = tls.handshake("localhost", ssl.TLSVersion.TLSv1_1, host)
    assert found.accepted is False, found.told


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this Python was built without TLS 1.1")
@pytest.mark.parametrize("host", ["TLSv1"], indirect=True)
def test_tls_1_1_works_with_a_host_that_takes_it(host: int) -> None:
    found = tls.handshake("localhost", ssl.TLSVersion.TLSv1_1, host)
    assert found == tls.Handshake(True, "works (TLSv1.1)")
