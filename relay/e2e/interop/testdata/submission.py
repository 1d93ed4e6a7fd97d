# A submission server by aiosmtpd: STARTTLS and XOAUTH2. The arguments are the certificate
# and the key.
import asyncio, hashlib, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

SMTP.line_length_limit = 16384  # a token is longer than a line of mail


class Handler:
    async def auth_XOAUTH2(self, server, args):
        raw = await server.challenge_auth("") if len(args) == 1 else __import__("base64").b64decode(args[1])
        user, token = raw.rstrip(b"\x01").split(b"\x01")
        good = user.startswith(b"user=") and token.startswith(b"auth=Bearer ") and token.count(b".") == 2
        server.session.user = user[5:].decode()
        return AuthResult(success=good, auth_data=user)

    async def handle_DATA(self, server, session, envelope):
        body = envelope.original_content
        print(json.dumps({"user": session.user, "from": envelope.mail_from, "to": envelope.rcpt_tos,
                          "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}), flush=True)
        return "250 2.0.0 OK"


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(), data_size_limit=157286400, enable_SMTPUTF8=True, tls_context=context,
                     require_starttls=True, auth_required=True, hostname="submission.example"), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
