/**
 * A modal dialog: the browser's own element, so focus stays inside and Escape closes it.
 */

import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { store } from "../store.ts";
import { CloseIcon } from "./icons.tsx";

interface DialogProps {
  title: string;
  /** Extra class for its width. */
  className?: string;
  /** Hides the heading line; the title still names the dialog. */
  bare?: boolean;
  children: ReactNode;
}

export const closeDialog = (): void => store.set({ dialog: null });

export function Dialog({ title, className = "", bare = false, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before anything is painted: a key that follows the click at once is the dialog's.
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    // The browser would focus the closing button; what the dialog is for comes first.
    (dialog?.querySelector<HTMLElement>("[data-focus]") ?? dialog)?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      className={`tl-dialog ${className}`}
      tabIndex={-1}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        closeDialog();
      }}
      // Keys typed in a dialog are not keys of the canvas.
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => {
        // Only the backdrop hits the dialog element itself outside its box.
        if (event.target !== element.current) return;
        const box = element.current.getBoundingClientRect();
        const isInside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
        if (!isInside) closeDialog();
      }}
    >
      <header className={bare ? "tl-hidden-text" : "tl-dialog-head"}>
        <h2 id={id}>{title}</h2>
        {!bare && (
          <button type="button" className="tl-icon-button" aria-label="Close" onClick={closeDialog}>
            <CloseIcon />
          </button>
        )}
      </header>
      {children}
    </dialog>
  );
}
