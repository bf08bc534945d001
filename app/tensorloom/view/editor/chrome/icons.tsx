/**
 * The chrome's drawings: the mark and 20 px line icons in the current text colour.
 */

import type { ReactNode } from "react";
import type { MarkShape } from "../protocol.ts";

function Icon({ children, size = 20 }: { children: ReactNode; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

/** Two warp and two weft threads, crossing over and under. */
export function Mark() {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" fill="none" aria-hidden="true">
      <g stroke="var(--tl-accent)" strokeWidth="1.5" strokeLinecap="round">
        <path d="M6.5 1.5v2.6M6.5 9v4M6.5 18v2.5M15.5 1.5V4M15.5 9v3M15.5 19v1.5" opacity=".55" />
        <path d="M1.5 6.5H4M9 6.5h3.5M18.5 6.5h2M1.5 15.5H4M9 15.5h3M19 15.5h1.5" />
      </g>
      <circle cx="6.5" cy="6.5" r="2.6" stroke="var(--tl-accent)" strokeWidth="1.6" />
      <circle cx="15.5" cy="15.5" r="3.6" fill="var(--tl-accent)" />
      <path d="M12.6 6.5h5.8M15.5 3.6v5.8M3.6 15.5h5.8M6.5 12.6v5.8" stroke="var(--tl-accent)" strokeWidth="1.5" strokeLinecap="round" opacity=".55" />
    </svg>
  );
}

/** A mark as the rail and the mark chooser show it; same outlines as on the canvas. */
export function MarkIcon({ shape, size = 20 }: { shape: MarkShape; size?: number }) {
  return <Icon size={size}>{markOutline(shape)}</Icon>;
}

function markOutline(shape: MarkShape): ReactNode {
  switch (shape) {
    case "circle":
      return <circle cx="10" cy="10" r="6.2" />;
    case "square":
      return <rect x="4.4" y="4.4" width="11.2" height="11.2" rx="3" />;
    case "triangle-right":
      return <path d="M5 4.2v11.6L15.4 10z" />;
    case "triangle-left":
      return <path d="M15 4.2v11.6L4.6 10z" />;
    case "dot":
      return (
        <>
          <path d="M10 11.2V17M10 11.2 4.4 6.4M10 11.2l5.6-4.8" />
          <circle cx="10" cy="10.8" r="2.6" fill="currentColor" stroke="none" />
        </>
      );
    case "diamond":
      return <path d="M10 3.6 16.4 10 10 16.4 3.6 10z" />;
    case "none":
      return <path d="M4 10h9M15.6 7.6v4.8" />;
    default:
      return shape satisfies never;
  }
}

export const UndoIcon = () => (
  <Icon>
    <path d="M7.5 4.5 4 8l3.5 3.5M4.4 8h7.1a4.2 4.2 0 0 1 0 8.4H8" />
  </Icon>
);
export const RedoIcon = () => (
  <Icon>
    <path d="M12.5 4.5 16 8l-3.5 3.5M15.6 8H8.5a4.2 4.2 0 0 0 0 8.4H12" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon size={18}>
    <path d="m5.5 5.5 9 9M14.5 5.5l-9 9" />
  </Icon>
);
export const MenuIcon = () => (
  <Icon>
    <path d="M4 6h12M4 10h12M4 14h12" />
  </Icon>
);
export const FoldIcon = ({ folded }: { folded: boolean }) => (
  <Icon size={18}>{folded ? <path d="m5.5 12 4.5-4.5 4.5 4.5" /> : <path d="m5.5 8 4.5 4.5L14.5 8" />}</Icon>
);
