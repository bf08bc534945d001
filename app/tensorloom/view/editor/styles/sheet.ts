/**
 * The chrome's stylesheets as one text, in cascade order. The canvas brings its own.
 */

import base from "./base.css";
import controls from "./controls.css";
import dialogs from "./dialogs.css";
import formula from "./formula.css";
import header from "./header.css";
import kernels from "./kernels.css";
import messages from "./messages.css";
import plan from "./plan.css";
import regions from "./regions.css";
import side from "./side.css";
import tokens from "./tokens.css";
import value from "./value.css";

export const chromeStyles: string = [tokens, base, controls, regions, header, formula, side, value, plan, dialogs, kernels, messages].join("\n");
