/**
 * Firefox over WebDriver BiDi, told what to do by lines of JSON on standard input.
 *
 * A request is `[method, ...arguments]` with a method of `calls`; the answer is `{value}` or
 * `{error}`. The browser ends with its input. The one argument is JSON: program, width, height of
 * the page, and seconds that a call may take.
 */

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../app/package.json", import.meta.url));
const puppeteer = require("puppeteer-core");

const { program, width, height, seconds } = JSON.parse(process.argv[2]);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: program,
  headless: true,
  defaultViewport: { width, height },
  protocolTimeout: seconds * 1000,
});
const page = await browser.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(`exception: ${error.stack ?? error}`));
page.on("console", (message) => {
  if (message.type() === "error") problems.push(`console: ${message.text()}`);
});

const calls = {
  open: (address) => page.goto(address, { waitUntil: "domcontentloaded" }).then(() => null),
  evaluate: (expression) => page.evaluate(expression),
  drag: async ([start, ...stops]) => {
    await page.mouse.move(...start);
    await page.mouse.down();
    for (const stop of stops) await page.mouse.move(...stop, { steps: 6 });
    await page.mouse.up();
  },
  click: (point) => page.mouse.click(...point),
  type: (text) => page.keyboard.type(text),
  screenshot: (path) => page.screenshot({ path }).then(() => null),
  problems: () => problems,
};

function answer(record) {
  process.stdout.write(`${JSON.stringify(record)}\n`);
}

answer({ value: await browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...given] = JSON.parse(line);
  try {
    answer({ value: (await calls[method](...given)) ?? null });
  } catch (error) {
    answer({ error: `${error}\n${error.stack}` });
  }
}
await browser.close();
