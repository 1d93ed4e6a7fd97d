"""Reads a delivery report as Python's email module does, and prints what it found."""
import email
import email.policy
import sys

with open(sys.argv[1], "rb") as f:
    report = email.message_from_binary_file(f, policy=email.policy.default)
assert report.get_content_type() == "multipart/report", report.get_content_type()
assert report.get_param("report-type") == "delivery-status"
for part in report.walk():
    assert not part.defects, (part.get_content_type(), part.defects)
text, status, headers = report.iter_parts()
assert text.get_content_type() == "text/plain" and "Queue ID:" in text.get_content()
assert status.get_content_type() == "message/delivery-status"
assert headers.get_content_type() == "text/rfc822-headers"
groups = status.get_payload()
print(report["subject"], "|", report["auto-submitted"], "|", groups[0]["reporting-mta"])
for group in groups[1:]:
    print(group["final-recipient"], "|", group["action"], "|", group["status"])
print(email.message_from_string(headers.get_payload(decode=True).decode())["subject"])
