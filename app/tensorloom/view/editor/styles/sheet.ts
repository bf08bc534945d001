/**
 * The chrome's stylesheets as one text, in cascade order. The canvas brings its own.
 */

import base from "./base.css";
import controls from "./controls.css";
import dialogs from "./dialogs.css";
import formula from "./formula.css";
import header from "./header.css";
import plan from "./plan.css";
import regions from "./regions.css";
import side from "./side.css";
import tokens from "./tokens.css";

export const chromeStyles: string = [tokens, base, controls, regions, header, formula, side, plan, dialogs].join("\n");
