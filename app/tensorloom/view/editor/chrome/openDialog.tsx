/**
 * Opening: a file, dropped or chosen, or pasted text. A circuit is asked whether it means its whole
 * state or one amplitude.
 */

import { useRef, useState } from "react";
import { closeDialog, Dialog } from "./dialog.tsx";
import { EarlierDrawings } from "./earlierDrawings.tsx";
import { MAX_STATE_QUBITS, openFile, qasmQubits, type ReadFile, sendOpen } from "./openFile.ts";
import { grouped } from "./numbers.ts";
import { Radio } from "./radio.tsx";

const FORMATS: readonly [string, string][] = [
  ["Einsum", "ij,jk->ik, sizes after it: i=4 j=8"],
  ["Network JSON", "inputs, output, size_dict, as cotengra writes it"],
  ["OpenQASM 2", "circuits, as a state or an amplitude"],
  ["UAI", "Markov and Bayes networks, their partition function"],
  ["npy, npz", "numbers onto the selected tensor"],
  ["Tensorloom", "documents and links"],
];

interface Asked {
  file: ReadFile;
  qubits: number;
}

/** A circuit that was dropped on the page waits here for the dialog that asks. */
let waiting: Asked | null = null;
export function askAbout(file: ReadFile, qubits: number): void {
  waiting = { file, qubits };
}

export function OpenDialog() {
  const [asked, setAsked] = useState<Asked | null>(() => {
    const first = waiting;
    waiting = null;
    return first;
  });
  const ask = (file: ReadFile, qubits: number) => setAsked({ file, qubits });
  return (
    <Dialog title={asked ? "Open a circuit" : "Open"}>
      {asked ? <AskCircuit asked={asked} /> : <Chooser ask={ask} />}
    </Dialog>
  );
}

function Chooser({ ask }: { ask: (file: ReadFile, qubits: number) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const openText = () => {
    const qubits = qasmQubits(text);
    const file: ReadFile = { name: "", text, base64: null };
    if (qubits !== null) ask(file, qubits);
    else {
      sendOpen(file);
      closeDialog();
    }
  };
  return (
    <div className="tl-open">
      <div className="tl-drop-field">
        <p>Drop a file anywhere on the page, or</p>
        <button type="button" className="tl-button is-main" data-focus="" onClick={() => input.current?.click()}>
          Choose a file
        </button>
        <input
          ref={input}
          type="file"
          hidden
          accept=".json,.qasm,.uai,.npy,.npz,.txt,.einsum,.tensorloom"
          onChange={(event) => {
            const file = event.target.files?.[0];
            event.target.value = "";
            if (file) void openFile(file, null, ask);
          }}
        />
      </div>
      <label className="tl-paste">
        <span>Or paste text</span>
        <textarea
          className="tl-field"
          rows={4}
          spellCheck={false}
          placeholder="ij,jk->ik   i=4 j=8 k=4"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && text.trim()) openText();
          }}
        />
      </label>
      <div className="tl-dialog-buttons">
        <button type="button" className="tl-button" disabled={text.trim() === ""} onClick={openText}>
          Open the text
        </button>
      </div>
      <EarlierDrawings />
      <dl className="tl-formats">
        {FORMATS.map(([name, about]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{about}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function AskCircuit({ asked: { file, qubits } }: { asked: Asked }) {
  const [wantsState, setWantsState] = useState(qubits <= MAX_STATE_QUBITS);
  const [bits, setBits] = useState("0".repeat(qubits));
  const good = new RegExp(`^[01]{${qubits}}$`).test(bits);
  const open = () => {
    sendOpen(file, { output: wantsState ? "state" : bits });
    closeDialog();
  };
  const nAmplitudes = qubits <= 40 ? grouped((2n ** BigInt(qubits)).toString()) : `2^${qubits}`;
  return (
    <form
      className="tl-ask"
      onSubmit={(event) => {
        event.preventDefault();
        if (wantsState || good) open();
      }}
    >
      <p>
        {file.name ? `“${file.name}”` : "This circuit"} has {qubits} {qubits === 1 ? "qubit" : "qubits"}. What should it give?
      </p>
      <label>
        <Radio name="tl-circuit" checked={wantsState} onChange={() => setWantsState(true)} data-focus={wantsState ? "" : undefined} />
        <span>The whole state</span>
        <small>
          {nAmplitudes} amplitudes{qubits > MAX_STATE_QUBITS ? ", more than a tab can hold comfortably" : ""}
        </small>
      </label>
      <label>
        <Radio name="tl-circuit" checked={!wantsState} onChange={() => setWantsState(false)} data-focus={wantsState ? undefined : ""} />
        <span>The amplitude of a bit string</span>
        <small>The first character is qubit 0</small>
      </label>
      <input
        className="tl-field tl-bits"
        aria-label={`Bit string of ${qubits} characters`}
        aria-invalid={!good}
        spellCheck={false}
        value={bits}
        maxLength={qubits}
        onFocus={() => setWantsState(false)}
        onChange={(event) => setBits(event.target.value)}
      />
      {!wantsState && !good && (
        <p className="tl-note is-wrong" role="status">
          {qubits} characters 0 or 1 are needed, {bits.length} are here.
        </p>
      )}
      <div className="tl-dialog-buttons">
        <button type="button" className="tl-button" onClick={closeDialog}>
          Cancel
        </button>
        <button type="submit" className="tl-button is-main" disabled={!wantsState && !good}>
          Open
        </button>
      </div>
    </form>
  );
}
