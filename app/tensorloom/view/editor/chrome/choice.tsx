/**
 * Two to four choices side by side; radio buttons underneath, so the arrow keys work.
 */

import { type ReactNode, useId } from "react";
import { Radio } from "./radio.tsx";

export interface Option<T extends string> {
  value: T;
  label: ReactNode;
  /** Whole words for the tip and for the ear. */
  long?: string;
  disabled?: boolean;
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly Option<T>[];
  onChange: (value: T) => void;
}

export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <div className="tl-choice" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value} title={option.long}>
          <Radio
            name={name}
            aria-label={option.long ?? (typeof option.label === "string" ? option.label : option.value)}
            checked={option.value === value}
            disabled={option.disabled}
            onChange={() => onChange(option.value)}
            onKeyDown={(event) => event.stopPropagation()}
          />
          {option.label}
        </label>
      ))}
    </div>
  );
}
