#!/usr/bin/env python3
"""Makes the keys, signatures and certificates in data/ that the programs verify. It needs Python alone.

The arithmetic here is plain and slow, and shares no code with the programs, so that each side tests the other. The
keys come from fixed names: the same bytes every time. They are good for tests only.

    ./make_data.py            writes data/
"""

import hashlib
import os

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
SIGNATURES = 8


def number(name, bits):
    """Returns a number of `bits` bits that depends on `name` alone."""
    return int.from_bytes(hashlib.shake_256(name.encode()).digest(bits // 8), "big")


class Curve:
    """A curve y^2 = x^3 + a x + b modulo `prime`, from SEC 2, with the hash that goes with it."""

    def __init__(self, name, prime, a, b, base, order, hash):
        self.name, self.prime, self.a, self.b, self.base, self.order, self.hash = name, prime, a, b, base, order, hash
        self.bytes = (prime.bit_length() + 7) // 8
        assert (base[1] ** 2 - base[0] ** 3 - a * base[0] - b) % prime == 0

    def add(self, left, right):
        """Adds two points; None is the point at infinity."""
        if left is None or right is None:
            return left or right
        if left[0] == right[0]:
            if (left[1] + right[1]) % self.prime == 0:
                return None
            slope = (3 * left[0] ** 2 + self.a) * pow(2 * left[1], -1, self.prime)
        else:
            slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, self.prime)
        x = (slope * slope - left[0] - right[0]) % self.prime
        return x, (slope * (left[0] - x) - left[1]) % self.prime

    def multiply(self, scalar, point):
        result = None
        while scalar:
            if scalar & 1:
                result = self.add(result, point)
            point, scalar = self.add(point, point), scalar >> 1
        return result

    def secret(self, name):
        return number(f"{self.name} key {name}", 8 * self.bytes) % (self.order - 1) + 1

    def public(self, name):
        return self.multiply(self.secret(name), self.base)

    def sign(self, name, message):
        """Returns r and s. The nonce follows from the key and the message; s is the smaller of the two."""
        nonce = number(f"{self.name} nonce {name} {message.hex()}", 8 * self.bytes) % (self.order - 1) + 1
        digest = int.from_bytes(getattr(hashlib, self.hash)(message).digest(), "big")
        r = self.multiply(nonce, self.base)[0] % self.order
        s = pow(nonce, -1, self.order) * (digest + r * self.secret(name)) % self.order
        return r, min(s, self.order - s)

    def octets(self, *numbers):
        return b"".join(number.to_bytes(self.bytes, "big") for number in numbers)


K256 = Curve(
    "secp256k1", 2**256 - 2**32 - 977, 0, 7,
    (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8),
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141, "sha256",
)
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256 = Curve(
    "secp256r1", P256_PRIME, P256_PRIME - 3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, "sha256",
)
P384_PRIME = 2**384 - 2**128 - 2**96 + 2**32 - 1
P384 = Curve(
    "secp384r1", P384_PRIME, P384_PRIME - 3,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    (0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
     0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F),
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973, "sha384",
)


def signatures(curve):
    """Each record is a public key, the signature, and 64 bytes of message: x, y, r, s, message."""
    records = b""
    for at in range(SIGNATURES):
        message = f"transfer {1000 + 37 * at} from account {at} to account {at + 1}".encode().ljust(64, b".")
        r, s = curve.sign(at, message)
        records += curve.octets(*curve.public(at), r, s) + message
    return records


def is_prime(candidate):
    """Tests by small primes, then by Miller and Rabin with 20 bases."""
    if any(candidate % small == 0 for small in range(3, 2000, 2)):
        return False
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 22):
        power = pow(base, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def prime(name):
    """Returns a prime of 2048 bits. The two top bits are set, so that a product of two has 4096 bits."""
    candidate = number(name, 2048) | 3 << 2046 | 1
    while candidate % 65537 == 1 or not is_prime(candidate):
        candidate += 2
    return candidate


def rsa():
    """Each record is a modulus of 512 bytes, a signature by PKCS #1 v1.5 with SHA-256, and 64 bytes of message."""
    records = b""
    for at in range(2):
        p, q = prime(f"rsa {at} p"), prime(f"rsa {at} q")
        message = f"release {at} of a program, signed by its maintainer".encode().ljust(64, b".")
        info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
        padded = b"\0\1" + b"\xff" * (512 - 3 - len(info)) + b"\0" + info
        secret = pow(65537, -1, (p - 1) * (q - 1))
        signature = pow(int.from_bytes(padded, "big"), secret, p * q)
        records += (p * q).to_bytes(512, "big") + signature.to_bytes(512, "big") + message
    return records


def der(tag, *parts):
    """Encodes a value of DER."""
    content = b"".join(parts)
    size = len(content)
    if size >= 128:
        length = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([tag, 128 | len(length)]) + length + content
    return bytes([tag, size]) + content


def integer(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(hex):
    return der(6, bytes.fromhex(hex))


CURVE_OIDS = {"secp256r1": "2a8648ce3d030107", "secp384r1": "2b81040022"}
SIGNATURE_OIDS = {"sha256": "2a8648ce3d040302", "sha384": "2a8648ce3d040303"}


def name(text):
    """A name of X.509 with an organisation and a common name."""
    attribute = lambda kind, value: der(0x31, der(0x30, oid(kind), der(0x0C, value.encode())))
    return der(0x30, attribute("55040a", "Tests Only"), attribute("550403", text))


def certificate(serial, subject, curve, issuer, issuer_curve, authority):
    """A certificate of X.509, version 3, with basic constraints and key usage."""
    algorithm = der(0x30, oid(SIGNATURE_OIDS[issuer_curve.hash]))
    validity = der(0x30, der(0x17, b"250101000000Z"), der(0x17, b"450101000000Z"))
    key = der(
        0x30,
        der(0x30, oid("2a8648ce3d0201"), oid(CURVE_OIDS[curve.name])),
        der(3, b"\0\4" + curve.octets(*curve.public(subject))),
    )
    constraints = der(0x30, der(1, b"\xff")) if authority else der(0x30)
    usage = bytes([1, 6]) if authority else bytes([7, 128])
    extensions = der(0xA3, der(
        0x30,
        der(0x30, oid("551d13"), der(1, b"\xff"), der(4, constraints)),
        der(0x30, oid("551d0f"), der(1, b"\xff"), der(4, der(3, usage))),
    ))
    body = der(
        0x30, der(0xA0, integer(2)), integer(serial), algorithm, name(issuer), validity, name(subject), key, extensions
    )
    r, s = issuer_curve.sign(issuer, body)
    return der(0x30, body, algorithm, der(3, b"\0", der(0x30, integer(r), integer(s))))


def main():
    files = {
        "secp256k1": signatures(K256),
        "secp256r1": signatures(P256),
        "rsa4096": rsa(),
        "root.der": certificate(1, "Root", P384, "Root", P384, True),
        "middle.der": certificate(2, "Middle", P256, "Root", P384, True),
        "issuer.der": certificate(3, "Issuer", P256, "Middle", P256, True),
        "leaf.der": certificate(4, "leaf.example", P256, "Issuer", P256, False),
    }
    os.makedirs(DATA, exist_ok=True)
    for file, content in files.items():
        with open(os.path.join(DATA, file), "wb") as output:
            output.write(content)


if __name__ == "__main__":
    main()
