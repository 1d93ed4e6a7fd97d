// Drives the console as an operator would. Arguments: the path of Chromium, the
// console's URL and password, the page of the double, the console over invented
// data, and where the screenshots go. "> WORD" on standard output asks the test
// to do something outside of the browser; it answers with a line.
"use strict";
const { chromium } = require("playwright-core");
const axeSource = require("axe-core").source;
const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");

const [executablePath, site, password, sandboxPage, showcase, shots] = process.argv.slice(2);
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => { console.log("> " + what); await answers.next(); };

// judge fails on faults that axe calls serious or critical, in both schemes.
async function judge(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axeSource); // by the debugger, so the page's policy does not matter
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
    assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.map((n) => n.html + " " + n.failureSummary).join(" | ")}`), [], `${name}, ${colorScheme}`);
    console.log(`axe finds nothing serious: ${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function logIn(page, url) {
  await page.goto(url + "/");
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Overview" }).waitFor();
}

async function shoot(page, name) {
  fs.mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: path.join(shots, name + ".png") });
}

async function operate(page) {
  await page.goto(site + "/messages");
  assert.match(page.url(), /\/login$/, "without a session every page leads to the login");
  await judge(page, "login");
  await page.getByLabel("Password").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "Wrong password" }).waitFor();
  await logIn(page, site);
  await judge(page, "overview without mail");

  // The keyboard reaches the content first, then the menu.
  await page.reload();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");

  // Mail arrives while the page is open: nobody reloads it.
  await page.getByRole("link", { name: "Messages", exact: true }).click();
  await page.getByText("No message matches.").waitFor();
  await ask("send");
  await page.getByText("UPS: battery test passed").waitFor();
  await page.locator("li", { hasText: "Backup of db01 finished" }).locator(".mark.good").waitFor();
  await judge(page, "messages");

  // A message is held: find it, read why, mend the cause, retry.
  await ask("break");
  await page.goto(site + "/");
  await page.getByRole("link", { name: /^Held 1/ }).click();
  await page.getByRole("link", { name: /Monthly report/ }).click();
  const why = await page.locator(".note").innerText();
  assert.match(why, /It is held and needs your action/);
  assert.match(why, /may have|perhaps|unknown|outcome|broke|lost/i, "the reason in words: " + why);
  await judge(page, "held message");
  await page.getByRole("link", { name: "Release and retry" }).click();
  await page.getByRole("heading", { name: "Release and retry?" }).waitFor();
  await judge(page, "confirmation");
  await ask("mend");
  await page.getByRole("button", { name: "Release and retry" }).click();
  await page.locator(".note.good", { hasText: "Microsoft 365 accepted it" }).waitFor();
  const arrived = await fetch(sandboxPage + "/api/messages").then((r) => r.text());
  assert.match(arrived, /Monthly report/, "the double has it");

  // Hold and delete ask first.
  await page.getByRole("link", { name: "Test mail" }).click();
  await judge(page, "test mail");
  await page.getByLabel("To").fill("admin@example.org");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".note.good", { hasText: "Microsoft 365 accepted it" }).waitFor();
  await page.getByRole("heading", { name: "Test mail from graphrelay" }).waitFor();

  // What came with a mail is shown and never run.
  await ask("hostile");
  await page.goto(site + "/messages");
  await page.getByText("<script>document.title='owned'</script>").waitFor();
  assert.doesNotMatch(await page.title(), /owned/);
  assert.match(await page.locator(".mails").innerText(), /\\u202egnp\.exe/);
  await page.getByRole("link", { name: "Clients" }).click();
  await page.getByText("5.7.1").first().waitFor();
  await judge(page, "clients");
  await page.getByRole("link", { name: "Setup" }).click();
  await page.getByRole("heading", { name: "Identity default" }).waitFor();
  await judge(page, "setup");

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Password").waitFor();
  await page.goto(site + "/setup");
  assert.match(page.url(), /\/login$/, "after the logout there is no session");
}

async function picture(page) {
  await page.setViewportSize({ width: 1200, height: 900 });
  await logIn(page, showcase);
  await judge(page, "overview with mail");
  await shoot(page, "overview-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot(page, "overview-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(showcase + "/messages");
  await judge(page, "messages with mail");
  await shoot(page, "messages");
  await page.getByRole("link", { name: /Monthly report/ }).click();
  await page.getByRole("heading", { name: "History" }).waitFor();
  await shoot(page, "message");
  await page.goto(showcase + "/clients");
  await shoot(page, "clients");
  await page.goto(showcase + "/setup");
  await judge(page, "setup with an audit");
  await shoot(page, "setup");
  await page.setViewportSize({ width: 390, height: 844 });
  for (const name of ["", "messages", "clients", "setup", "test"]) {
    await page.goto(showcase + "/" + name);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `/${name} is ${wide} pixels too wide for a phone`);
    if (name === "") await shoot(page, "phone");
  }
}

(async () => {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "graphrelay-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, viewport: { width: 1200, height: 900 },
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = context.pages()[0];
    page.setDefaultTimeout(15000);
    const faults = [];
    page.on("console", (m) => { if (m.type() === "error" && !/status of 4\d\d/.test(m.text())) faults.push(m.text()); });
    page.on("pageerror", (e) => faults.push(String(e)));
    page.on("request", (r) => { const h = new URL(r.url()).origin; if (h !== site && h !== showcase && h !== sandboxPage) faults.push("a request to " + r.url()); });
    await operate(page);
    await picture(page);
    await page.goto(sandboxPage + "/");
    await page.setViewportSize({ width: 1200, height: 700 });
    await judge(page, "the sandbox's page");
    await shoot(page, "sandbox");
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
})().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
