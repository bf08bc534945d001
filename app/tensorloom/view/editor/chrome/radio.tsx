/**
 * A radio button that leaves its group before it leaves the page.
 *
 * Chromium (156, seen 2026-11) looks for the group of a removed radio button in the document even where the
 * group is a shadow root's, as here: the root keeps the button, and with it all that was removed around it.
 */

import { type InputHTMLAttributes, useLayoutEffect, useRef } from "react";

export function Radio(given: Omit<InputHTMLAttributes<HTMLInputElement>, "type">) {
  const element = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    const input = element.current;
    return () => {
      if (input) input.name = "";
    };
  }, []);
  return <input {...given} ref={element} type="radio" />;
}
