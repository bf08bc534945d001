/**
 * How the contraction order was found, in words. Pure.
 */

import type { Notice, PlanJson } from "../protocol.ts";
import { bigCount, duration, grouped } from "./numbers.ts";

/** Heading of the order card, and the quiet word at its right. */
export function orderWords(plan: Pick<PlanJson, "finder" | "proved">): { title: string; aside: string } {
  if (plan.proved) return { title: "Optimal order", aside: "proved" };
  switch (plan.finder) {
    case "optimal":
      return { title: "Best order found", aside: "not proved" };
    case "greedy":
      return { title: "Greedy order", aside: "found at once" };
    case "random-greedy":
      return { title: "Improved order", aside: "best of many greedy ones" };
    case "reconfigured":
      return { title: "Improved order", aside: "parts made optimal" };
    case "annealed":
      return { title: "Improved order", aside: "long search" };
    default:
      return { title: "Order", aside: plan.finder };
  }
}

/** `8 parts: 3 bonds sliced`, or nothing where nothing is sliced. */
export function slicingWords(plan: Pick<PlanJson, "nSlices" | "sliced">): string {
  if (plan.sliced.length === 0) return "";
  return `${bigCount(plan.nSlices)} parts, ${plan.sliced.length === 1 ? "1 index" : `${plan.sliced.length} indices`} sliced`;
}

/** `Found a better order. 12 tried in 4.2 s, best 13 952`; the numbers as soon as there are some. */
export function searchWords(search: Extract<Notice, { kind: "search" }>): string {
  const tried = `${grouped(String(search.trials))} tried in ${duration(search.elapsedMs)}, best ${bigCount(search.bestMulAdds)}`;
  return [search.message, search.trials > 0 ? tried : ""].filter((part) => part !== "").join(". ");
}
