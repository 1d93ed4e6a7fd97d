// Cuts messages, base64, one a line, into field names and body with mailparser.
// Prints for each a JSON list: names in lower case, body in base64.
const { simpleParser } = require("mailparser");
const lines = require("fs").readFileSync(0, "latin1").trim().split("\n");

(async () => {
  for (const line of lines) {
    const m = await simpleParser(Buffer.from(line, "base64"), { skipHtmlToText: true, skipTextToHtml: true });
    const body = m.attachments.length > 0 ? m.attachments[0].content : Buffer.from(m.text || "");
    console.log(JSON.stringify([m.headerLines.map((h) => h.key), body.toString("base64")]));
  }
})();
