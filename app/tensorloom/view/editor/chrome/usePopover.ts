/**
 * Open and close of a popover: its button, a press elsewhere and Escape close it.
 */

import { type RefObject, useEffect, useRef, useState } from "react";

interface Popover {
  isOpen: boolean;
  toggle: () => void;
  close: () => void;
  /** Goes on the element that holds both the button and the popover. */
  holder: RefObject<HTMLDivElement>;
}

export function usePopover(): Popover {
  const [isOpen, setOpen] = useState(false);
  const holder = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!isOpen) return undefined;
    const elsewhere = (event: PointerEvent) => {
      // Inside a shadow root the window only sees the host; the composed path sees the element.
      if (holder.current && !event.composedPath().includes(holder.current)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setOpen(false);
      holder.current?.querySelector<HTMLElement>("button")?.focus();
    };
    globalThis.addEventListener("pointerdown", elsewhere, { capture: true });
    globalThis.addEventListener("keydown", escape, { capture: true });
    return () => {
      globalThis.removeEventListener("pointerdown", elsewhere, { capture: true });
      globalThis.removeEventListener("keydown", escape, { capture: true });
    };
  }, [isOpen]);

  return { isOpen, toggle: () => setOpen((open) => !open), close: () => setOpen(false), holder };
}
