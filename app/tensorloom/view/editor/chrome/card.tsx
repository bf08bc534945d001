/**
 * The side panel's card: a heading with a quiet word at its right, and rows of label and value.
 */

import { type ReactNode, useId } from "react";

interface CardProps {
  title: ReactNode;
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}

export function Card({ title, aside, className = "", children }: CardProps) {
  const id = useId();
  return (
    <section className={`tl-card ${className}`} aria-labelledby={id}>
      <header className="tl-card-head">
        <h2 id={id}>{title}</h2>
        {aside !== undefined && <span>{aside}</span>}
      </header>
      {children}
    </section>
  );
}

export function Rows({ children }: { children: ReactNode }) {
  return <dl className="tl-rows">{children}</dl>;
}

export function Row({ label, title, children }: { label: ReactNode; title?: string; children: ReactNode }) {
  return (
    <div className="tl-row" title={title}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
