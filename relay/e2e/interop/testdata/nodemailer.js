// Send four messages over one pooled connection: host port sender file recipient,recipient,...
const fs = require("fs");
const nodemailer = require("nodemailer");

const [host, port, sender, file, recipients] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host, port: Number(port), secure: false, ignoreTLS: true, pool: true, maxConnections: 1, name: "client.example.org",
});

async function main() {
  await transport.sendMail({ envelope: { from: sender, to: recipients.split(",") }, raw: fs.readFileSync(file) });
  for (let i = 1; i <= 3; i++) {
    const info = await transport.sendMail({
      from: { name: "Grüner Drucker", address: sender },
      to: "a@example.org", cc: "b@example.org", bcc: "hidden@example.com",
      subject: "Nummer " + i + " – 日本語",
      text: ".\n..zwei\nGrüße\n".repeat(i),
      html: "<p>Grüße</p>",
      attachments: [{ filename: "däten.bin", content: Buffer.alloc(20000 * i, 200 + i) }],
      icalEvent: { method: "request", content: "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n" },
    });
    if (info.accepted.length !== 3) throw new Error("accepted " + info.accepted);
  }
  transport.close();
}

main().catch((err) => { console.error(err); process.exit(1); });
