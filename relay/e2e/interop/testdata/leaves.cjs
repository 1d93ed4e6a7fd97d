// Takes messages apart by nodemailer's mailparser, as a judge of ours. Reads
// messages in base64, one a line. Prints for each a JSON object: its text, its
// HTML, and the bytes of its files in base64.
const readline = require("readline");
const { simpleParser } = require("mailparser");

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      const options = { skipTextToHtml: true, skipHtmlToText: true, skipTextLinks: true, skipImageLinks: true };
      const found = await simpleParser(Buffer.from(line, "base64"), options);
      const files = found.attachments.map((a) => a.content.toString("base64"));
      console.log(JSON.stringify({ text: found.text || "", html: found.html || "", files }));
    } catch {
      console.log("null");
    }
  }
})();
