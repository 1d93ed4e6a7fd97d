"""Log in over TLS and send a file as it is: tls host port ca user password sender file recipient,recipient,..."""
import smtplib
import ssl
import sys

tls, host, port, ca, user, password, sender, path, recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if tls == "implicit":
    smtp = smtplib.SMTP_SSL(host, int(port), local_hostname="client.example.org", context=context)
else:
    smtp = smtplib.SMTP(host, int(port), local_hostname="client.example.org")
    smtp.starttls(context=context)
with open(path, "rb") as f, smtp:
    smtp.login(user, password)
    refused = smtp.sendmail(sender, recipients.split(","), f.read(), mail_options=["BODY=8BITMIME"])
    if refused:
        sys.exit("refused: %r" % refused)
