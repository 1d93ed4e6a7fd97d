// Reads header blocks, base64, one a line, with nodemailer's mailparser. Prints
// for each a JSON object: per field, every address that it finds.
const readline = require("readline");
const { simpleParser } = require("mailparser");

const addresses = (list) => list.flatMap((a) => [a.address || "", ...addresses(a.group || [])]);

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const found = {};
    const m = await simpleParser(Buffer.from(line, "base64"));
    for (const name of ["From", "Sender", "To", "Cc", "Bcc"]) {
      const fields = [m.headers.get(name.toLowerCase()) || []].flat();
      found[name] = addresses(fields.flatMap((f) => f.value || []));
    }
    console.log(JSON.stringify(found));
  }
})();
