/**
 * A name edited in place: Enter or leaving keeps it, Escape gives the old one back.
 */

import { useState } from "react";

interface NameFieldProps {
  value: string;
  label: string;
  className?: string;
  onRename: (name: string) => void;
  /** Told of every letter, for drawings that grow with the text. */
  onTyping?: (text: string | null) => void;
}

export function NameField({ value, label, className = "", onRename, onTyping }: NameFieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const type = (text: string | null) => {
    setTyped(text);
    onTyping?.(text);
  };
  return (
    <input
      className={`tl-name-field ${className}`}
      aria-label={label}
      spellCheck={false}
      autoComplete="off"
      maxLength={200}
      value={typed ?? value}
      onChange={(event) => type(event.target.value)}
      onFocus={(event) => event.currentTarget.select()}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") type(null);
        if (event.key === "Escape" || event.key === "Enter") {
          // Blur sees the state of this render, so Escape must leave nothing to keep.
          if (event.key === "Escape") event.currentTarget.value = value;
          event.currentTarget.blur();
        }
      }}
      onBlur={(event) => {
        const name = event.currentTarget.value.trim();
        if (name !== "" && name !== value) onRename(name);
        type(null);
      }}
    />
  );
}
