// A submission server by nodemailer's smtp-server: STARTTLS and XOAUTH2. The arguments are
// the certificate, the key, and the file that gets each message.
const fs = require("fs"), crypto = require("crypto");
const { SMTPServer } = require("smtp-server");
const [cert, key] = process.argv.slice(2).map((f) => fs.readFileSync(f));
const server = new SMTPServer({
  cert, key, authMethods: ["XOAUTH2"], size: 157286400, hidePIPELINING: true, logger: false,
  onAuth(auth, session, done) {
    if (!session.secure || auth.method !== "XOAUTH2" || auth.accessToken.split(".").length !== 3) {
      return done(null, { data: { status: "401", schemes: "bearer" } });
    }
    done(null, { user: auth.username });
  },
  onData(stream, session, done) {
    const hash = crypto.createHash("sha256");
    let size = 0;
    stream.on("data", (chunk) => { hash.update(chunk); size += chunk.length; });
    stream.on("end", () => {
      const e = session.envelope;
      console.log(JSON.stringify({
        user: session.user, from: e.mailFrom.address, to: e.rcptTo.map((r) => r.address), size, sha256: hash.digest("hex"),
      }));
      done();
    });
  },
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.server.address().port })));
