/**
 * Errors: what is, what can be done, and where it is. They stay until they are closed.
 */

import { store, type Toast, useEditor } from "../store.ts";
import { CloseIcon } from "./icons.tsx";

export function Toasts() {
  const toasts = useEditor((state) => state.toasts);
  return (
    <div className="tl-toasts" role="alert" aria-live="assertive">
      {toasts.map((toast) => (
        <ToastLine key={toast.id} toast={toast} />
      ))}
    </div>
  );
}

function ToastLine({ toast: { id, error } }: { toast: Toast }) {
  const document = useEditor((state) => state.document);
  const tensors = (error.where.tensors ?? []).filter((one) => Object.hasOwn(document.marks, one));
  const indices = (error.where.indices ?? []).filter((one) => Object.hasOwn(document.dimensions, one));
  const place = [error.where.file, error.where.line === undefined ? undefined : `line ${error.where.line}`].filter((part) => part !== undefined).join(", ");
  const show = () => {
    store.set({ blamed: { tensors, indices } });
    store.select({ tensors, indices });
  };
  return (
    <div className="tl-toast">
      <p>
        {error.message} {error.hint && <span>{error.hint}</span>}
        {place && !error.message.includes(place) && <small>{place}</small>}
      </p>
      {tensors.length + indices.length > 0 && (
        <button type="button" className="tl-button" onClick={show}>
          Show
        </button>
      )}
      <button type="button" className="tl-icon-button" aria-label="Close this message" onClick={() => store.dismiss(id)}>
        <CloseIcon />
      </button>
    </div>
  );
}
