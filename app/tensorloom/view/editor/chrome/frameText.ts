/**
 * The HTML of a frame that shows an address. Pure.
 */

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;" };

const attribute = (text: string): string => text.replace(/[&"<>]/g, (letter) => ENTITIES[letter] ?? letter);

export function frameText(link: string, title: string): string {
  return `<iframe src="${attribute(link)}" title="${attribute(title)}" width="640" height="480" style="border: 0"></iframe>`;
}
