# SPDX-License-Identifier: Apache-2.0
"""OpenPGP keys and signed messages for tests, made byte by byte: RSA with SHA-256, no other program.

Key(seed) is always the same key. Times are fixed, so that messages are, too.
"""
import base64
import hashlib
import json
import random
import struct
import zlib

CREATED = 1700000000  # of keys
SIGNED = 1741000000
DAY = 24 * 3600
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def _is_prime(n, rnd):
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(12):
        x = pow(rnd.randrange(2, n - 1), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _prime(rnd, bits):
    while True:
        n = rnd.getrandbits(bits) | 1 | 3 << bits - 2
        if n % 65537 != 1 and _is_prime(n, rnd):
            return n


def _mpi(n):
    return struct.pack(">H", n.bit_length()) + n.to_bytes((n.bit_length() + 7) // 8, "big")


def _packet(tag, body):
    return bytes([0x80 | tag << 2 | 1]) + struct.pack(">H", len(body)) + body


def _subpacket(kind, body):
    return bytes([len(body) + 1, kind]) + body


class Key:
    def __init__(self, seed, lasts=0, revoked=False, created=CREATED, flags=3):
        """LASTS: seconds until it expires; 0: never. FLAGS: 1 certifies, 2 signs."""
        rnd = random.Random("key %s" % seed)
        p, q = _prime(rnd, 1024), _prime(rnd, 1024)
        self.n, self.e = p * q, 65537
        self.d = pow(self.e, -1, (p - 1) * (q - 1))
        self.body = b"\x04" + struct.pack(">I", created) + b"\x01" + _mpi(self.n) + _mpi(self.e)
        self.hashed = b"\x99" + struct.pack(">H", len(self.body)) + self.body
        self.id = hashlib.sha1(self.hashed).digest()[-8:]
        user = b"Test %s <test@example.com>" % str(seed).encode()
        more = _subpacket(27, bytes([flags])) + (_subpacket(9, struct.pack(">I", lasts)) if lasts else b"")
        self.public = _packet(6, self.body)
        if revoked:
            self.public += _packet(2, self._signature(self.hashed, 0x20, created + DAY, _subpacket(29, b"\x02gone")))
        self.public += _packet(13, user) + _packet(2, self._signature(
            self.hashed + b"\xb4" + struct.pack(">I", len(user)) + user, 0x13, created, more))

    def with_subkey(self, sub):
        """The public key with the Key SUB as a subkey that signs."""
        both = self.hashed + sub.hashed
        embedded = sub._signature(both, 0x19, CREATED)
        size = len(embedded) + 1  # more than 191: two bytes of length
        back = bytes([(size - 192 >> 8) + 192, size - 192 & 0xff, 32]) + embedded
        return (self.public + _packet(14, sub.body)
                + _packet(2, self._signature(both, 0x18, CREATED, _subpacket(27, b"\x02") + back)))

    @property
    def name(self):
        return self.id.hex().upper()

    @property
    def armored(self):
        return ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n%s-----END PGP PUBLIC KEY BLOCK-----\n"
                % base64.encodebytes(self.public).decode())

    def _rsa(self, digest):
        size = (self.n.bit_length() + 7) // 8
        info = SHA256_INFO + digest
        block = b"\0\x01" + b"\xff" * (size - len(info) - 3) + b"\0" + info
        return _mpi(pow(int.from_bytes(block, "big"), self.d, self.n))

    def _signature(self, data, kind, when, more=b""):
        hashed = _subpacket(2, struct.pack(">I", when)) + more
        head = bytes([4, kind, 1, 8]) + struct.pack(">H", len(hashed)) + hashed
        digest = hashlib.sha256(data + head + b"\x04\xff" + struct.pack(">I", len(head))).digest()
        unhashed = _subpacket(16, self.id)
        return head + struct.pack(">H", len(unhashed)) + unhashed + digest[:2] + self._rsa(digest)

    def _signature3(self, data, when):
        signed = b"\0" + struct.pack(">I", when)
        digest = hashlib.sha256(data + signed).digest()
        return b"\x03\x05" + signed + self.id + b"\x01\x08" + digest[:2] + self._rsa(digest)

    def message(self, content, version=4, when=SIGNED, lasts=0, compressed=True):
        """CONTENT signed; compressed as signing servers do it, with an indeterminate length."""
        literal = _packet(11, b"b\0" + struct.pack(">I", when) + content)
        more = _subpacket(3, struct.pack(">I", lasts)) if lasts else b""
        signature = self._signature3(content, when) if version == 3 else self._signature(content, 0, when, more)
        whole = _packet(4, b"\x03\0\x08\x01" + self.id + b"\x01") + literal + _packet(2, signature)
        if not compressed:
            return whole
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return b"\xa3\x01" + deflate.compress(whole) + deflate.flush()

    def sign(self, digest, reference="quay.io/test/release:1", **options):
        return self.message(claim(digest, reference), **options)


def claim(digest, reference, kind="atomic container signature"):
    return json.dumps({"critical": {"type": kind, "image": {"docker-manifest-digest": digest},
                                    "identity": {"docker-reference": reference}},
                       "optional": {"creator": "test"}}).encode()


def unsigned(content):
    return _packet(11, b"b\0" + struct.pack(">I", SIGNED) + content)


def cleartext(content):
    return b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + content + b"\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n"


def verifier_map(keys, stores):
    """KEYS, STORES: by the names they have in the config map. Its namespace comes twice, as in real ones."""
    out = "apiVersion: v1\ndata:\n"
    for name, url in stores.items():
        out += "  store-%s: %s\n" % (name, url)
    for name, key in keys.items():
        out += "  verifier-public-key-%s: |\n" % name
        out += "".join("    %s\n" % line if line else "\n" for line in key.armored.splitlines())
    return (out + "kind: ConfigMap\nmetadata:\n  annotations:\n    release.openshift.io/verification-config-map: \"\"\n"
            "  name: release-verification\n  namespace: openshift-config-managed\n"
            "  namespace: openshift-config-managed\n").encode()
