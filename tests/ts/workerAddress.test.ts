import assert from "node:assert/strict";
import { test } from "node:test";
import { connectSources, isLoopback, isPrivate, isTrustedByLink, normalAddress, plainToken, shortAddress, whyOutOfReach, workerOfLink } from "../../app/tensorloom/view/editor/remote/address.ts";

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "";
};

test("an address has one form", () => {
  assert.equal(normalAddress(" 127.0.0.1:8765/ "), "http://127.0.0.1:8765");
  assert.equal(normalAddress("HTTPS://Worker.Example/lab//"), "https://worker.example/lab");
  assert.equal(normalAddress("http://localhost:80"), "http://localhost");
  assert.equal(shortAddress("https://worker.example/lab"), "worker.example/lab");
});

test("what is no address is refused with its code", () => {
  for (const typed of ["", "http://", "ftp://worker", "javascript:alert(1)", "http://me:secret@worker", "http://worker/?token=1", "http://worker/#x", "a b"]) assert.equal(codeOf(() => normalAddress(typed)), "worker-address", typed);
});

test("a token is what a header can carry, without what was pasted around it", () => {
  assert.equal(plainToken(" tlw_a-B_9\n"), "tlw_a-B_9");
  for (const typed of ["", " \n"]) assert.equal(codeOf(() => plainToken(typed)), "worker-no-token", typed);
  for (const typed of ["“tlw_a”", "tlw_a\u200b", "tlw_a…", "tlw_a tlw_b", "tlw_a\ntlw_b", "tlw_é"]) assert.equal(codeOf(() => plainToken(typed)), "worker-token", typed);
});

test("a link names worker and token, anything else is none", () => {
  assert.deepEqual(workerOfLink("#worker=http%3A%2F%2F127.0.0.1%3A8765&token=a%2Bb"), { address: "http://127.0.0.1:8765", token: "a+b" });
  assert.deepEqual(workerOfLink("worker=http%3A%2F%2F127.0.0.1%3A8765"), { address: "http://127.0.0.1:8765", token: "" });
  assert.equal(workerOfLink("#q1YqLs5"), null);
  assert.equal(workerOfLink(""), null);
  assert.equal(codeOf(() => workerOfLink("#worker=ftp%3A%2F%2Fx")), "worker-address");
});

test("only this machine is loopback", () => {
  for (const address of ["http://127.0.0.1:1", "http://127.8.9.1", "http://localhost:8765", "https://a.localhost", "http://[::1]:8765"]) assert.ok(isLoopback(address), address);
  for (const address of ["http://128.0.0.1", "http://localhost.example", "http://127.0.0.1.example", "http://192.168.0.2"]) assert.ok(!isLoopback(address), address);
});

test("a link connects by itself to this machine and to where the page came from, nowhere else", () => {
  const page = "https://worker.example:8765";
  assert.ok(isTrustedByLink("http://127.0.0.1:8765", page, null));
  assert.ok(isTrustedByLink("https://worker.example:8765", page, null));
  assert.ok(isTrustedByLink("http://127.0.0.1:8765", page, "http://127.0.0.1:8765"));
  assert.ok(!isTrustedByLink("https://other.example", page, null));
  assert.ok(!isTrustedByLink("https://worker.example:8766", page, null));
  // Another worker than the connected one is a change that the user makes.
  assert.ok(!isTrustedByLink("http://127.0.0.1:8765", page, "http://127.0.0.1:9000"));
});

const policy = "default-src 'none'; script-src 'self'; connect-src 'self' blob: http://127.0.0.1:* http://localhost:* https://lab.example:8765 https://plain.example; img-src data:";

test("the sources of a policy are read from its directive", () => {
  assert.deepEqual(connectSources("connect-src 'self' blob:; img-src data:"), ["'self'", "blob:"]);
  assert.deepEqual(connectSources(""), ["http:", "https:", "'self'"]);
});

test("what the policy or the rules for mixed content forbid is said before it is tried", () => {
  const sources = connectSources(policy);
  const why = (address: string, origin = "https://site.example") => whyOutOfReach(address, { origin, connectSources: sources })?.code ?? null;
  assert.equal(why("http://127.0.0.1:8765"), null);
  assert.equal(why("https://localhost:1"), null);
  assert.equal(why("https://lab.example:8765"), null);
  assert.equal(why("https://plain.example"), null);
  assert.equal(why("https://lab.example:8766"), "worker-not-allowed");
  assert.equal(why("https://plain.example:1"), "worker-not-allowed");
  assert.equal(why("http://lab.example:8765"), "worker-not-allowed");
  assert.equal(why("https://other.example"), "worker-not-allowed");
  assert.equal(why("http://192.168.0.2:8765", "http://192.168.0.2:8765"), null);
  const open = { origin: "https://site.example", connectSources: ["http:", "https:"] };
  assert.equal(whyOutOfReach("http://192.168.0.2:8765", open)?.code, "worker-mixed-content");
  assert.equal(whyOutOfReach("http://127.0.0.1:8765", open), null);
});

test("the way out names the page that the worker serves, and the flag of the build", () => {
  const why = whyOutOfReach("https://lab.example:9000", { origin: "https://site.example", connectSources: ["'self'"] });
  assert.equal(why?.message, "This page may reach workers on this machine and the place that it came from, but not lab.example:9000.");
  assert.equal(why?.hint, "Open the page that the worker itself serves, https://lab.example:9000/, or build the site with --connect https://lab.example:9000.");
});

test("addresses of a network at home or at work are told from others", () => {
  for (const host of ["10.0.0.7", "192.168.1.2", "172.16.0.1", "172.31.9.9", "169.254.1.1", "[fd00::1]", "[fe80::1]", "lab.local"]) assert.ok(isPrivate(`http://${host}:8765`), host);
  for (const host of ["127.0.0.1", "172.32.0.1", "11.0.0.1", "192.0.2.2", "worker.example", "10.example", "[2001:db8::1]"]) assert.ok(!isPrivate(`http://${host}:8765`), host);
});
