"""Take messages apart by Python's email package, as a judge of ours.

Reads files NAME.eml named on the command line; prints JSON: NAME -> list of
leaves in order, each with its type, its file name and the SHA-256 of its
decoded octets. What a message/rfc822 part holds is one leaf."""

import email
import email.policy
import hashlib
import json
import os
import sys

policy = email.policy.compat32.clone(max_line_length=None)


def leaves(part):
    kind = part.get_content_type()
    if kind == "message/rfc822":  # written again by the package: compared but for line ends
        text = part.get_payload(0).as_bytes(policy=policy) if part.is_multipart() else part.get_payload(decode=True)
        yield kind, part, text.replace(b"\r\n", b"\n").rstrip(b"\n")
    elif part.get_content_maintype() == "multipart" and part.is_multipart():
        for child in part.get_payload():
            yield from leaves(child)
    elif part.is_multipart():  # message/delivery-status and its like
        text = b"".join(p.as_bytes(policy=policy) for p in part.get_payload())
        yield kind, part, text.replace(b"\r\n", b"\n").rstrip(b"\n")
    else:
        yield kind, part, part.get_payload(decode=True)


def describe(path):
    with open(path, "rb") as f:
        raw = f.read()
    out = []
    for kind, part, content in leaves(email.message_from_bytes(raw, policy=policy)):
        name = part.get_filename() or ""
        out.append({"type": kind.split()[0], "named": name != "", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    return out


result = {os.path.basename(p)[:-4]: describe(p) for p in sys.argv[1:]}
print("{\n" + ",\n".join("%s: %s" % (json.dumps(n), json.dumps(l)) for n, l in sorted(result.items())) + "\n}")
