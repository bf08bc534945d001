/**
 * All gestures and keys, read from the one table of actions.
 */

import { type Action, ACTIONS, GESTURES, shownKey } from "../actions.ts";
import { Dialog } from "./dialog.tsx";

export const isMac = (): boolean => /Mac|iPhone|iPad/.test(navigator.platform);

const GROUPS: readonly Action["group"][] = ["Draw", "Edit", "View", "Document"];

export function GesturesDialog() {
  return (
    <Dialog title="All gestures" className="is-wide">
      <div className="tl-gestures">
        <section>
          <h3>Pointer</h3>
          <dl>
            {GESTURES.map(({ how, what }) => (
              <div key={how}>
                <dt>{how}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </section>
        {GROUPS.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl className="tl-keys">
              {ACTIONS.filter((action) => action.group === group && action.keys.length > 0).map((action) => (
                <div key={action.id}>
                  <dt>{action.label}</dt>
                  <dd>
                    <Keys keys={action.keys} />
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

export function Keys({ keys }: { keys: readonly string[] }) {
  return (
    <>
      {keys.map((key) => (
        <kbd key={key} className="tl-key">
          {shownKey(key, isMac())}
        </kbd>
      ))}
    </>
  );
}
