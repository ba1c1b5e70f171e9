// Chromium for journeys on pages: one job a line on standard input, one line back for each. A job is
// a list of steps by one person, whose cookies and page stay for their next job.
//
//   {"id": 1, "who": "reviewer", "options": {"locale": "ja"}, "steps": [["goto", "http://…"], …]}
//   {"id": 1, "said": [null, …], "problems": []}   or   {"id": 1, "failed": "…", "problems": […]}
//
// `problems` is what a page did that none of ours may: errors, dialogs, loading from elsewhere. The
// option `elsewhere` names hosts of others, whose pages are theirs: to go there is no problem.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const STEP_MS = 20_000;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const people = new Map();

async function person(who, { elsewhere = [], ...options }) {
  if (!people.has(who)) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    const problems = [];
    const isOurs = (at) => !elsewhere.includes(new URL(at.url()).host);
    page.setDefaultTimeout(STEP_MS);
    // The browser's own word for every answer that is an error says nothing of the page.
    page.on("console", (said) => {
      const ours = !said.text().startsWith("Failed to load resource") && isOurs(page);
      if (["error", "warning"].includes(said.type()) && ours) problems.push(said.text());
    });
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("dialog", (dialog) => problems.push(`dialog: ${dialog.message()}`));
    page.on("request", (request) => {
      const from = new URL(page.url() === "about:blank" ? request.url() : page.url());
      const to = new URL(request.url());
      const leads = request.isNavigationRequest() && [to.host, from.host].some((one) => elsewhere.includes(one));
      if (to.host !== from.host && from.host && isOurs(page) && !leads) problems.push(`loads ${request.url()}`);
    });
    people.set(who, { context, page, problems });
  }
  return people.get(who);
}

async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
}

const STEPS = {
  goto: async (page, url) => (await page.goto(url)).status(),
  press: (page, key) => page.keyboard.press(key),
  type: (page, text) => page.keyboard.type(text),
  fill: (page, place, text) => page.fill(place, text),
  click: (page, place) => page.click(place),
  check: (page, place) => page.check(place),
  settled: (page) => page.waitForLoadState("load"),
  wait: async (page, place) => void (await page.waitForSelector(place)),
  gone: async (page, place) => void (await page.waitForSelector(place, { state: "detached" })),
  text: (page, place) => page.innerText(place),
  count: (page, place) => page.locator(place).count(),
  url: (page) => page.url(),
  axe: violations,
  ask: (page, expression) => page.evaluate(expression),
  size: (page, width, height) => page.setViewportSize({ width, height }),
  dark: (page) => page.emulateMedia({ colorScheme: "dark" }),
  light: (page) => page.emulateMedia({ colorScheme: "light" }),
  shot: async (page, path) => void (await page.screenshot({ path, fullPage: true })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const { page, problems } = await person(job.who, job.options);
  const said = [];
  let failed;
  try {
    for (const [verb, ...rest] of job.steps) said.push((await STEPS[verb](page, ...rest)) ?? null);
  } catch (error) {
    failed = `step ${said.length} ${JSON.stringify(job.steps[said.length])}: ${error}`;
  }
  console.log(JSON.stringify({ id: job.id, said, failed, problems: problems.splice(0) }));
}
await browser.close();
