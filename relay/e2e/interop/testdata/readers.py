"""Reads header blocks, base64, one a line, with both address readers of Python,
and with the older one over the field as people see it, its encoded words decoded.

Prints for each a JSON object: per field, every address that one of them finds.
"""
import base64
import email
import email.errors
import email.header
import email.policy
import email.utils
import json
import sys


def older(message, name):
    values = [str(v) for v in message.get_all(name) or []]
    return [address for _, address in email.utils.getaddresses(values)]


def decoded(message, name):
    found = []
    for value in message.get_all(name) or []:
        try:
            text = str(email.header.make_header(email.header.decode_header(value)))
        except (LookupError, ValueError, email.errors.HeaderParseError):
            continue  # no reader sees more in what cannot be decoded
        found += [address for _, address in email.utils.getaddresses([text])]
    return found


def newer(message, name):
    found = []
    for value in message.get_all(name) or []:
        found += [a.addr_spec for a in value.addresses]
    return found


for line in sys.stdin:
    block = base64.b64decode(line)
    names = ["From", "Sender", "To", "Cc", "Bcc"]
    legacy = email.message_from_bytes(block)
    found = {name: older(legacy, name) + decoded(legacy, name) for name in names}
    try:
        modern = email.message_from_bytes(block, policy=email.policy.default)
        for name in names:
            found[name] += newer(modern, name)
    except (AttributeError, IndexError, TypeError):
        pass  # the newer reader fails on some lists: bugs of Python's
    print(json.dumps(found))
