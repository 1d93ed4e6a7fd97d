"""Takes messages apart by Python's email package, as a judge of ours.

Reads messages in base64, one a line. Prints for each a JSON list of two lists,
one for each policy: the decoded bytes of its leaves, in base64, or null where the
package fails. What a message/rfc822 part holds is one leaf.
"""
import base64
import email
import email.policy
import json
import sys


def leaves(part):
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        yield part.get_payload(0).as_bytes(policy=part.get_payload(0).policy.clone(linesep="\n"))
    elif part.is_multipart():
        for child in part.get_payload():
            yield from leaves(child)
    else:
        yield part.get_payload(decode=True) or b""


def read(raw, policy):
    try:
        found = email.message_from_bytes(raw, policy=policy)
        return [base64.b64encode(leaf).decode() for leaf in leaves(found)]
    except Exception:  # the package has many ways to fail on damaged mail
        return None


for line in sys.stdin:
    raw = base64.b64decode(line)
    print(json.dumps([read(raw, email.policy.compat32), read(raw, email.policy.default)]))
