"""Cuts messages, base64, one a line, into field names and body with three
readers of Python: two policies, and one that decodes before it cuts.

Prints for each a JSON object: reader -> [names in lower case, body in base64]."""
import base64
import email
import email.policy
import json
import sys


def cut(message):
    body = message.get_payload(decode=True)
    return [[name.lower() for name in message.keys()], base64.b64encode(body or b"").decode()]


for line in sys.stdin:
    raw = base64.b64decode(line)
    print(json.dumps({
        "python": cut(email.message_from_bytes(raw)),
        "python, newer policy": cut(email.message_from_bytes(raw, policy=email.policy.default)),
        "python, decoding first": cut(email.message_from_string(raw.decode("latin-1"))),
    }))
