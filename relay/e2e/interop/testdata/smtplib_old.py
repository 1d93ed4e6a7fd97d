"""As smtplib_login.py, as an old device: version tls host port ca user password sender file recipient,recipient,..."""
import smtplib
import ssl
import sys
import warnings

warnings.simplefilter("ignore")
version, tls, host, port, ca, user, password, sender, path, recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.set_ciphers("DEFAULT:@SECLEVEL=0")
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
if tls == "implicit":
    smtp = smtplib.SMTP_SSL(host, int(port), local_hostname="client.example.org", context=context)
else:
    smtp = smtplib.SMTP(host, int(port), local_hostname="client.example.org")
    smtp.starttls(context=context)
with open(path, "rb") as f, smtp:
    if smtp.sock.version() != version.replace("_", "."):
        sys.exit("the connection has " + smtp.sock.version())
    smtp.login(user, password)
    refused = smtp.sendmail(sender, recipients.split(","), f.read(), mail_options=["BODY=8BITMIME"])
    if refused:
        sys.exit("refused: %r" % refused)
