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

// judge fails on whatever axe finds, in both schemes and on a phone and a wide screen, and
// where a page is wider than its window.
async function judge(page, name, widths = [360, 1400]) {
  const before = page.viewportSize();
  await page.evaluate(axeSource); // by the debugger, so the page's policy does not matter
  for (const width of widths) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} pixels too wide for ${width}`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html + " " + n.failureSummary).join(" | ")}`), [], `${name}, ${width} pixels, ${colorScheme}`);
    }
  }
  console.log(`axe finds nothing: ${name}`);
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before);
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
  await judge(page, "overview without mail", [1400]);

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
  await judge(page, "messages", [1400]);

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

  // What the search finds is changed together: first it is counted.
  await page.goto(site + "/messages?state=sent");
  assert.equal(await page.getByText("All that match").count(), 0, "nothing can be done to what is sent");
  await page.goto(site + "/messages?q=local");
  await page.getByRole("link", { name: "Retry now" }).click();
  await page.getByRole("heading", { name: "Retry now: 0 messages?" }).waitFor();
  await judge(page, "a question about all messages");
  await page.goto(site + "/setup");
  await page.getByRole("button", { name: "Audit now" }).click();
  await page.getByText("The audit has been started").waitFor();
  await page.getByRole("button", { name: "Read it again" }).click();
  await page.getByText("has been read again and is in force").waitFor();

  // A test mail goes the way of all mail.
  await page.getByRole("link", { name: "Test mail" }).click();
  await judge(page, "test mail", [1400]);
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
  await page.getByRole("link", { name: "Refusals", exact: true }).click();
  await page.getByText("stranger@contoso.com").first().waitFor();
  await judge(page, "refusals", [1400]);
  await page.getByRole("link", { name: "Clients", exact: true }).click();
  await page.getByText("5.7.1").first().waitFor();
  await judge(page, "clients", [1400]);
  await page.getByRole("link", { name: "Setup" }).click();
  await page.getByRole("heading", { name: "Identity default" }).waitFor();
  await judge(page, "setup", [1400]);

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Password").waitFor();
  await page.goto(site + "/setup");
  assert.match(page.url(), /\/login$/, "after the logout there is no session");
}

// values points at a chart, and walks along another by the arrow keys.
async function values(page) {
  const charts = page.locator(".charts figure");
  await charts.nth(0).locator(".at").nth(30).hover();
  assert.match(await charts.nth(0).locator("output").innerText(), /^\d\d:\d\d to \d\d:\d\d: accepted [\d,.]+, sent [\d,.]+, deferred or failed/);
  await charts.nth(1).locator("svg.chart").focus();
  for (const key of ["ArrowLeft", "ArrowLeft"]) await page.keyboard.press(key);
  assert.match(await charts.nth(1).locator("output").innerText(), /: waiting \d/);
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
}

// picture takes the screenshots of the manual, at three widths.
async function picture(page) {
  await page.setViewportSize({ width: 1400, height: 900 });
  await logIn(page, showcase);
  await values(page);
  for (const [name, width, colorScheme, path, height] of [
    ["overview-light", 1400, "light", "", 1000], ["overview-dark", 1400, "dark", "?range=24h", 1000], ["overview-tablet", 768, "dark", "?range=6h", 1000],
    ["phone", 360, "light", "", 1400], ["phone-dark", 360, "dark", "messages", 900], ["messages", 1400, "light", "messages", 900],
    ["clients", 768, "light", "clients", 700], ["setup", 1400, "dark", "setup", 800], ["refusals", 360, "light", "refusals", 800], ["client", 1400, "light", "clients/erp", 800],
  ]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.goto(showcase + "/" + path);
    await shoot(page, name);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1400, height: 900 });
  await page.goto(showcase + "/messages");
  await page.getByRole("link", { name: /Monthly report/ }).click();
  await page.getByRole("heading", { name: "History" }).waitFor();
  await shoot(page, "message");
  await judge(page, "a message with its history", [360, 768, 1400]);
  for (const path of ["", "?range=7d", "messages", "messages/all/retry", "refusals", "clients", "clients/erp", "setup", "test"]) {
    await page.goto(showcase + "/" + path);
    await judge(page, "/" + path + " of the showcase", path === "" ? [360, 768, 1400] : undefined);
  }
}

// sandbox looks at the pages of the double: a message with HTML, and what was refused.
async function sandbox(page) {
  await page.setViewportSize({ width: 1200, height: 700 });
  await page.goto(sandboxPage + "/");
  await judge(page, "the sandbox's page");
  await shoot(page, "sandbox");
  await page.goto(sandboxPage + "/refusals");
  await judge(page, "the sandbox's refusals");
  await ask("html");
  await page.goto(sandboxPage + "/?q=invoice");
  await page.getByRole("link", { name: /Invoice as HTML/ }).click();
  const frame = page.frameLocator("iframe");
  await frame.getByRole("heading", { name: "Invoice 4711" }).waitFor();
  assert.equal(await frame.locator("body").getAttribute("data-owned"), null, "no script runs in the frame");
  await judge(page, "a message of the sandbox");
  await page.goto(sandboxPage + "/");
  await page.getByRole("button", { name: "Clear all" }).click();
  await page.getByText("Nothing yet").waitFor();
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
    page.on("console", (m) => { if (m.type() === "error" && !/status of 4\d\d|^Blocked script execution|img-src data:/.test(m.text())) faults.push(m.text()); });
    page.on("pageerror", (e) => faults.push(String(e)));
const foreign = new Set(); // requests to elsewhere that the policy did not stop
    page.on("request", (r) => { if (![site, showcase, sandboxPage].includes(new URL(r.url()).origin)) foreign.add(r); });
    page.on("requestfailed", (r) => { if (r.failure().errorText === "csp") foreign.delete(r); });
    await operate(page);
    await picture(page);
    await sandbox(page);
    assert.deepEqual([faults, [...foreign].map((r) => r.url())], [[], []]);
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
})().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
