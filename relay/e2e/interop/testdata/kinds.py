"""Describes the leaves of messages, in the order of leaves.py.

Reads messages in base64, one a line. Prints for each a JSON list: of each leaf,
whether it is one form of several, and its content as text.
"""
import base64
import email
import json
import sys


def leaves(part, form):
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        yield {"form": form, "text": ""}
    elif part.is_multipart():
        for child in part.get_payload():
            yield from leaves(child, form or part.get_content_type() == "multipart/alternative")
    else:
        content = part.get_payload(decode=True) or b""
        try:
            text = content.decode(part.get_content_charset("latin-1"), "ignore")
        except (LookupError, ValueError):
            text = content.decode("ascii", "ignore")
        yield {"form": form and part.get_content_maintype() == "text", "text": text}


for line in sys.stdin:
    print(json.dumps(list(leaves(email.message_from_bytes(base64.b64decode(line)), False))))
