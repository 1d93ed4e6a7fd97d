"""Reads header blocks, base64, one a line, with both address readers of Python.

Prints for each a JSON object: per field, every address that one of them finds.
"""
import base64
import email
import email.policy
import email.utils
import json
import sys


def older(message, name):
    values = [str(v) for v in message.get_all(name) or []]
    return [address for _, address in email.utils.getaddresses(values)]


def newer(message, name):
    found = []
    for value in message.get_all(name) or []:
        found += [a.addr_spec for a in value.addresses]
    return found


for line in sys.stdin:
    block = base64.b64decode(line)
    names = ["From", "Sender", "To", "Cc", "Bcc"]
    legacy = email.message_from_bytes(block)
    found = {name: older(legacy, name) for name in names}
    try:
        modern = email.message_from_bytes(block, policy=email.policy.default)
        for name in names:
            found[name] += newer(modern, name)
    except (AttributeError, IndexError, TypeError):
        pass  # the newer reader fails on some lists: bugs of Python's
    print(json.dumps(found))
