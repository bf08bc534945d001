/**
 * The panel of the worker: connect to one, see what it has, and what becomes of the jobs sent to it.
 */

import { type FormEvent, useState } from "react";
import { Dialog } from "../chrome/dialog.tsx";
import { bytes } from "../chrome/numbers.ts";
import type { ErrorJson } from "../protocol.ts";
import { useEditor } from "../store.ts";
import { shortAddress } from "./address.ts";
import { desk } from "./deskOfPage.ts";
import { JobLine } from "./jobLine.tsx";
import { NOT_CONNECTED, type RemoteView } from "./view.ts";

export function WorkerDialog() {
  const remote = useEditor((state) => state.remote) ?? NOT_CONNECTED;
  const isConnected = remote.connection.kind !== "off";
  return (
    <Dialog title="Worker" className="is-worker">
      {remote.asked !== null && <LinkAsks address={remote.asked} />}
      {isConnected ? <Connected remote={remote} /> : remote.asked === null && <ConnectForm />}
      {isConnected && <Jobs remote={remote} />}
    </Dialog>
  );
}

/** A link to somebody else's machine: it gets nothing before the user agrees. */
function LinkAsks({ address }: { address: string }) {
  const [error, setError] = useState<ErrorJson | null>(null);
  const [token, setToken] = useState("");
  const hasToken = desk().linkHasToken;
  const agree = () => {
    try {
      if (hasToken) desk().answerLink(true);
      else {
        desk().connect(address, token);
        desk().answerLink(false);
      }
    } catch (refusal) {
      setError(refusal as ErrorJson);
    }
  };
  return (
    <div className="tl-worker-asks" role="group" aria-label="A link asks to connect">
      <p>
        The link that you opened asks to connect this page to the worker at <b>{shortAddress(address)}</b>. That worker would get the drawings and numbers that you send to it. Connect only if you know whose it is.
      </p>
      {!hasToken && <TokenField value={token} onChange={setToken} />}
      <Complaint error={error} />
      <div className="tl-buttons">
        <button type="button" className="tl-button" onClick={agree}>
          Connect
        </button>
        <button type="button" className="tl-button is-plain" data-focus="" onClick={() => desk().answerLink(false)}>
          Do not connect
        </button>
      </div>
    </div>
  );
}

function ConnectForm() {
  const [address, setAddress] = useState(() => desk().typed);
  const [token, setToken] = useState("");
  const [error, setError] = useState<ErrorJson | null>(null);
  const connect = (event: FormEvent) => {
    event.preventDefault();
    try {
      desk().connect(address, token);
    } catch (refusal) {
      setError(refusal as ErrorJson);
    }
  };
  return (
    <>
      <p className="tl-note">
        A worker is a program of yours, on this machine or another, that computes what does not fit here. Start one with <code>python3 build.py worker</code>; it prints a link that connects this page, and the token. It gets what you send to it, and
        nothing else.
      </p>
      <form className="tl-worker-form" onSubmit={connect} noValidate>
        <label>
          <span>Address</span>
          <input className="tl-field" type="url" inputMode="url" autoComplete="off" spellCheck={false} value={address} aria-invalid={error?.code === "worker-address"} onChange={(event) => setAddress(event.target.value)} />
        </label>
        <TokenField value={token} onChange={setToken} wrong={error?.code === "worker-no-token" || error?.code === "worker-token"} />
        <button type="submit" className="tl-button is-main">
          Connect
        </button>
      </form>
      <Complaint error={error} />
    </>
  );
}

function TokenField({ value, onChange, wrong = false }: { value: string; onChange: (value: string) => void; wrong?: boolean }) {
  return (
    <label>
      <span>Token</span>
      <input className="tl-field" type="password" data-focus="" autoComplete="off" spellCheck={false} value={value} aria-invalid={wrong} onChange={(event) => onChange(event.target.value)} />
    </label>
  );
}

function Complaint({ error }: { error: ErrorJson | null }) {
  if (!error) return null;
  return (
    <p className="tl-note is-wrong" role="alert">
      {error.message} {error.hint}
    </p>
  );
}

function Connected({ remote }: { remote: RemoteView }) {
  const { connection, about } = remote;
  if (connection.kind === "off") return null;
  const name = shortAddress(connection.address);
  return (
    <div className="tl-worker-state">
      <p role="status">
        <span className="tl-lamp" data-state={connection.kind === "on" ? "ready" : connection.kind === "connecting" ? "starting" : "failed"} />
        <span>{connection.kind === "on" ? `Connected to ${name}` : connection.kind === "connecting" ? `Asking ${name}` : connection.kind === "waiting" ? `${name} does not answer; trying again` : `${name} refuses`}</span>
      </p>
      {connection.kind === "on" && about && <p className="tl-quiet">{aboutWords(about)}</p>}
      {(connection.kind === "waiting" || connection.kind === "refused") && <Complaint error={connection.error} />}
      <div className="tl-buttons">
        {connection.kind === "waiting" && (
          <button type="button" className="tl-button" onClick={() => desk().retry()}>
            Try now
          </button>
        )}
        <button type="button" className="tl-button" onClick={() => desk().disconnect()}>
          Disconnect
        </button>
      </div>
    </div>
  );
}

function aboutWords(about: NonNullable<RemoteView["about"]>): string {
  const many = about.workers === 1 ? "1 process" : `${about.workers} processes`;
  const where = about.scheduler === "local" ? "" : " of a cluster";
  const each = about.workers === 1 ? "" : " each";
  const rates = about.calibrated ? "" : " It has not measured its speed yet.";
  return `${many}${where}, ${bytes(about.memoryBytesPerWorker)}${each}; ${about.backends.join(", ")}; version ${about.version}.${rates}`;
}

function Jobs({ remote }: { remote: RemoteView }) {
  // Nothing is known of the jobs of a worker that has not told them.
  if (remote.jobs.length === 0 && remote.connection.kind !== "on") return null;
  return (
    <section className="tl-jobs" aria-label="Jobs">
      <h3>Jobs</h3>
      {remote.jobs.length === 0 ? (
        <p className="tl-note">None yet. Where a drawing does not fit here, the button in the value card sends it.</p>
      ) : (
        <ul>
          {remote.jobs.map((line) => (
            <JobLine key={line.name} line={line} isShown={line === remote.current} canAct={remote.connection.kind === "on" || line.job === null} />
          ))}
        </ul>
      )}
      {remote.older !== "none" && remote.connection.kind === "on" && (
        <button type="button" className="tl-button" onClick={() => void desk().older()}>
          {remote.older === "coming" ? "Asking for older jobs" : "Show older jobs"}
        </button>
      )}
    </section>
  );
}
