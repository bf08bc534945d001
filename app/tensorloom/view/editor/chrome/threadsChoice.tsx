/** One thread or several; the choice takes effect when the page is loaded again. */

import { useState } from "react";
import { canIsolate, chooseIsolation, isIsolated } from "../isolation.ts";
import { Choice } from "./choice.tsx";

type Threads = "one" | "several";

const OPTIONS: readonly { value: Threads; label: string; long: string }[] = [
  { value: "one", label: "One", long: "One thread: the page may stand in other pages" },
  { value: "several", label: "Several", long: "All cores: the page is isolated from other sites" },
];

export function ThreadsChoice() {
  const now: Threads = isIsolated() ? "several" : "one";
  const [chosen, setChosen] = useState(now);
  if (!canIsolate()) return null;
  const choose = (value: Threads) => void chooseIsolation(value === "several").then(() => setChosen(value));
  return (
    <>
      <div>
        <span>Threads</span>
        <Choice label="Threads" value={chosen} onChange={choose} options={OPTIONS} />
      </div>
      {chosen !== now && (
        <p className="tl-quiet" role="status">
          {chosen === "several" ? "Large contractions will use all cores; the page is then isolated from other sites." : "Contractions will use one thread."} Takes effect when the page is loaded again.{" "}
          <button type="button" className="tl-button" onClick={() => location.reload()}>
            Reload
          </button>
        </p>
      )}
    </>
  );
}
