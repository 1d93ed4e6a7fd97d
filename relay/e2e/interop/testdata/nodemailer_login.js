// Log in over TLS and send a file as it is: tls host port ca user password sender file recipient,recipient,...
const fs = require("fs");
const nodemailer = require("nodemailer");

const [tls, host, port, ca, user, pass, sender, file, recipients] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host, port: Number(port), secure: tls === "implicit", requireTLS: true, tls: { ca: fs.readFileSync(ca) },
  auth: { user, pass }, name: "client.example.org",
});

transport.sendMail({ envelope: { from: sender, to: recipients.split(",") }, raw: fs.readFileSync(file) })
  .then(() => transport.close())
  .catch((err) => { console.error(err); process.exit(1); });
