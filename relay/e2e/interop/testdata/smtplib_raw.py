"""Send a file as it is: host port sender file recipient,recipient,..."""
import smtplib
import sys

host, port, sender, path, recipients = sys.argv[1:]
with open(path, "rb") as f, smtplib.SMTP(host, int(port), local_hostname="client.example.org") as smtp:
    refused = smtp.sendmail(sender, recipients.split(","), f.read(), mail_options=["BODY=8BITMIME"])
    if refused:
        sys.exit("refused: %r" % refused)
