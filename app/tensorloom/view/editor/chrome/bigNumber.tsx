/** The value as it is printed largest in its card; longer ones are smaller. */

export function BigNumber({ text, bound }: { text: string; bound: string }) {
  const size = text.length > 22 ? "small" : text.length > 13 ? "medium" : "large";
  return (
    <p className="tl-number" data-size={size} aria-live="polite">
      <b>{text}</b> {bound && <span>{bound}</span>}
    </p>
  );
}
