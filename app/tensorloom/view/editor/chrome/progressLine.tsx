export function ProgressLine() {
  return null;
}
