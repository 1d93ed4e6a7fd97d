"""Compose and send six messages on one connection: host port sender."""
import smtplib
import sys
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, make_msgid

host, port, sender = sys.argv[1:]


def message(number, policy=SMTP):
    m = EmailMessage(policy=policy)
    m["From"] = "Gr\u00fcner Drucker <%s>" % sender
    m["To"] = '"\u00c4rger, J\u00fcrgen" <a@example.org>, b@example.org'
    m["Bcc"] = "hidden@example.com"
    m["Subject"] = "Nummer %d: \u65e5\u672c\u8a9e" % number
    m["Date"] = formatdate()
    m["Message-ID"] = make_msgid(domain="client.example.org")
    m.set_content("Gr\u00fc\u00dfe\n.\n..\n" * number)
    m.add_alternative("<p>Gr\u00fc\u00dfe</p>", subtype="html")
    m.add_attachment(bytes(range(256)) * 40 * number, maintype="application", subtype="octet-stream", filename="d\u00e4ten.bin")
    return m


with smtplib.SMTP(host, int(port), local_hostname="client.example.org") as smtp:
    for number in range(1, 6):
        refused = smtp.send_message(message(number))
        if refused:
            sys.exit("refused: %r" % refused)
    m = message(6, SMTPUTF8)
    del m["To"]
    m["To"] = "j\u00fcrgen@b\u00fccher.example"
    refused = smtp.send_message(m)
    if refused:
        sys.exit("refused: %r" % refused)
