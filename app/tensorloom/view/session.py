"""Answers the page: one method per request of ``protocol.ts``, each ending in notices.

The page holds the document that the user sees; the session validates every gesture, keeps the text,
the plan and the value fresh, opens files, and looks into tensors. Errors of the user become notices
with a place and a way out; anything else is our bug and is said as such.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from functools import partial
from typing import TYPE_CHECKING, Any

from tensorloom.errors import DocumentError, InputError, TensorloomError
from tensorloom.execute.arrays import ArrayStore, make_array
from tensorloom.formats import npy, opening
from tensorloom.formats.equation_edit import edits
from tensorloom.formats.layout import layout
from tensorloom.formats.templates import template
from tensorloom.model import codec, equation
from tensorloom.model.command_codec import command_from_json, command_to_json
from tensorloom.model.commands import (
    AddTensor,
    Move,
    ReplaceDocument,
    SetArray,
    SetDimension,
    apply_all,
)
from tensorloom.model.recipe import BlobArray
from tensorloom.model.stored_array import StoredArray
from tensorloom.view.desk import Desk
from tensorloom.view.inspection import look_at
from tensorloom.view.live import LiveValue
from tensorloom.view.records import device_json, error_json, error_notice, spans_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from tensorloom.formats.opened import Opened
    from tensorloom.model.commands import Command
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.view.inspection import Inspection

__all__ = ["Session"]

Request = dict[str, Any]
Notice = dict[str, object]


class Session:
    """One page's conversation.

    Args:
        inspection: The figure for looking inside.

    Attributes:
        send: Where notices go; set once the page's component exists.
    """

    def __init__(self, *, inspection: Inspection) -> None:
        self.inspection = inspection
        self.desk = Desk()
        self.store = ArrayStore()
        self.live = LiveValue(self._notify, self.store)
        self.send: Callable[[Notice], None] = lambda _notice: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._layout: asyncio.Task[None] | None = None
        self._looking: Request | None = None
        self._placed: set[str] = set()
        self._written: Network | None = None
        self._answers: dict[str, Callable[[Request], None]] = {
            "hello": self._hello,
            "commands": self._commands,
            "equation": self._equation,
            "open": self._open,
            "template": self._template,
            "layout": self._start_layout,
            "run": self._run,
            "cancel": lambda _request: self.live.cancel(),
            "search": self._search,
            "inspect": self._inspect,
            "blobs": self._blobs,
            "kernels": self.live.kernels.watch,
            "kernel-source": self.live.kernels.source,
            "kernel-database": self._kernel_database,
        }

    def _kernel_database(self, request: Request) -> None:
        self.start(self.live.kernels.database(request))

    # --- in and out -------------------------------------------------------------------------

    def receive(self, request: Request) -> None:
        """Answer a request of the page."""
        seq = request.get("seq")
        try:
            self._answers[request["kind"]](request)
        except Exception as error:  # noqa: BLE001  # our bug must reach the user, not kill the session
            self._notify(error_notice(error, seq))
        self._notify({"kind": "ack", "seq": seq, "behind": self.live.behind})

    def _notify(self, notice: Notice) -> None:
        self.send(notice)
        if notice["kind"] == "result" and self._looking is not None:
            document = self.inspection.figure.document
            if document is None or document.session_context is None:
                self._show_inside(self._looking)
            else:
                # On a server a value comes outside of the session's lock, which plots need.
                document.add_next_tick_callback(partial(self._show_inside, self._looking))

    def first_notices(self, document: Document) -> list[Notice]:
        """What the page may show of a document before Python is there: text, plan and value."""
        self.desk.put(document)
        notices: list[Notice] = []
        self.send = notices.append
        self._say_equation(None)
        self.live.compute_at_once(document)
        return notices

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something on the side; its errors become notices."""
        task = asyncio.ensure_future(self._guarded(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except Exception as error:  # noqa: BLE001  # our bug must reach the user
            self._notify(error_notice(error))

    # --- the document -----------------------------------------------------------------------

    def _hello(self, request: Request) -> None:
        seq = request["seq"]
        try:
            document = codec.from_json(request["document"])
        except InputError as error:
            self._reject(seq, error)
            document = self.desk.committed
        self.desk.put(document)
        missing = self._missing()
        if missing:
            self._notify({"kind": "need-blobs", "hashes": sorted(missing)})
        self._changed()
        self.start(self._greet(seq))

    async def _greet(self, seq: int) -> None:
        found = await self.live.find_devices()
        self._notify({"kind": "ready", "seq": seq, "device": device_json(found)})

    def _commands(self, request: Request) -> None:
        live = request["phase"] == "live"
        try:
            commands = [command_from_json(item) for item in request["commands"]]
            self.desk.gesture(commands, live=live)
            if not live:
                self._remember_placed(commands)
        except InputError as error:
            self._reject(request["seq"], error)
        self._changed()

    def _reject(self, seq: int, error: TensorloomError) -> None:
        document = codec.to_json(self.desk.committed)
        self._notify(
            {"kind": "rejected", "seq": seq, "error": error_json(error), "document": document}
        )

    def _changed(self) -> None:
        """The document is another one: bring text, plan and value up to date."""
        network = self.desk.shown.network
        if network is not self._written:
            self._written = network
            self._say_equation(None)
            if self._layout is not None:
                self._layout.cancel()
        self.live.show(self.desk.shown, dragging=self.desk.dragging)

    def apply(self, gesture: str, commands: Sequence[Command], seq: int | None = None) -> None:
        """Change the document from Python's side: one step in the page's history."""
        if not commands:
            return
        self.desk.put(apply_all(self.desk.committed, commands))
        if any(isinstance(command, ReplaceDocument) for command in commands):
            self._placed.clear()
        self._notify(
            {
                "kind": "apply",
                "seq": seq,
                "gesture": gesture,
                "commands": [command_to_json(command) for command in commands],
            }
        )
        self._changed()

    # --- text -------------------------------------------------------------------------------

    def _equation(self, request: Request) -> None:
        typed = request["text"]
        try:
            commands = edits(self.desk.committed, typed)
        except InputError as error:
            self._say_equation(typed, error)
            return
        self.apply("Type the equation", commands, request["seq"])
        self._say_equation(typed)

    def _say_equation(self, typed: str | None, error: TensorloomError | None = None) -> None:
        """Send the text with its links to the diagram; what was typed stays as it was typed."""
        network = self.desk.shown.network
        spans: tuple[equation.EquationSpan, ...] = ()
        if typed is None:
            written = equation.write(network)
            text, named, spans = written.text, written.named, written.spans
        else:
            text, named = typed, False
            if error is None:
                parsed = equation.parse(typed)
                named = parsed.named
                ids = [tensor.id for tensor in network.tensors]
                spans = equation.spans_of(parsed, ids)
        self._notify(
            {
                "kind": "equation",
                "seq": None,
                "text": text,
                "spans": spans_json(text, spans),
                "named": named,
                "error": None if error is None else error_json(error, text),
            }
        )

    # --- files and templates ----------------------------------------------------------------

    def _open(self, request: Request) -> None:
        name = str(request.get("name") or "")
        if request.get("base64") is not None:
            self._open_arrays(_decoded(request["base64"]), name, request.get("onto"))
            return
        opened = opening.open_text(
            request["text"], format=request["format"], name=name, options=request["options"]
        )
        self.take(opened)

    def take(self, opened: Opened) -> None:
        """Show what was opened, as one step that can be undone."""
        self._keep(opened.arrays)
        self.apply("Open", (ReplaceDocument(document=opened.document),))

    def _open_arrays(self, data: bytes, name: str, onto: str | None) -> None:
        found = npy.read_npy(data, name)
        tensors = self.desk.committed.network.tensor_by_id
        if onto is None or onto not in tensors:
            raise DocumentError(
                "no-tensor-chosen",
                f"'{name[:60]}' holds an array, but no tensor is selected.",
                "Select the tensor that it belongs to, then open the file again.",
            )
        label, stored = found[0]
        tensor = tensors[onto]
        if len(stored.shape) != len(tensor.indices):
            raise DocumentError(
                "wrong-axes",
                f"The array '{label[:40]}' has {len(stored.shape)} axes; "
                f"{tensor.name} has {len(tensor.indices)} legs.",
                "Give the tensor as many legs as the array has axes.",
            )
        self._keep((stored,))
        sizes = dict(zip(tensor.indices, stored.shape, strict=True))
        resized = [
            SetDimension(name=index, dimension=size)
            for index, size in sizes.items()
            if self.desk.committed.network.dimension_of[index] != size
        ]
        array = BlobArray(hash=stored.hash, shape=stored.shape, dtype=stored.dtype)
        self.apply(f"Open {name[:60]}", (*resized, SetArray(id=onto, array=array)))

    def _keep(self, arrays: Iterable[StoredArray]) -> None:
        """Hold arrays here, and let the page keep their bytes for the next visit."""
        for stored in arrays:
            self.store.add(stored)
            text = base64.b64encode(stored.data).decode()
            self._notify({"kind": "keep-blob", "hash": stored.hash, "base64": text})

    def _missing(self) -> dict[str, BlobArray]:
        """Stored arrays that the document refers to and that are not here, by hash."""
        recipes = [tensor.array for tensor in self.desk.shown.network.tensors]
        return {
            recipe.hash: recipe
            for recipe in recipes
            if isinstance(recipe, BlobArray) and recipe.hash not in self.store
        }

    def _blobs(self, request: Request) -> None:
        missing = self._missing()
        for blob in request["blobs"]:
            recipe = missing.get(blob["hash"])
            if recipe is not None:
                data = _decoded(blob["base64"])
                stored = StoredArray(
                    hash=recipe.hash, shape=recipe.shape, dtype=recipe.dtype, data=data
                )
                self.store.add(stored)
        self.live.show(self.desk.shown, dragging=False, anew=True)

    def _template(self, request: Request) -> None:
        document = template(request["name"], request["parameters"])
        self.apply("Template", (ReplaceDocument(document=document),), request["seq"])

    # --- layout -----------------------------------------------------------------------------

    def _start_layout(self, request: Request) -> None:
        if self._layout is not None:
            self._layout.cancel()
        self._layout = self.start(self._lay_out(request["seq"], request.get("tensors") or ()))

    async def _lay_out(self, seq: int, free: Sequence[str]) -> None:
        """Arrange what the user did not place, or what was selected for it."""
        document = self.desk.committed
        placed = {
            name: (mark.x, mark.y)
            for name, mark in document.diagram.marks.items()
            if (name not in free if free else name in self._placed)
        }
        for progress in layout(document.network, placed):
            if progress.positions:
                move = Move(
                    positions=tuple(progress.positions.items()),
                    anchors=tuple(progress.anchors.items()),
                )
                self._layout = None
                self.apply("Arrange", (move,), seq)
            await asyncio.sleep(0)

    def _remember_placed(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Move():
                    self._placed.update(name for name, _ in command.positions)
                case AddTensor():
                    self._placed.add(command.tensor.id)
                case ReplaceDocument():
                    self._placed.clear()

    # --- plan, run, see ---------------------------------------------------------------------

    def _run(self, request: Request) -> None:
        # A worker is the page's own affair; here the network is planned for it.
        elsewhere = request["backend"] == "worker"
        self.live.choose(
            "auto" if elsewhere else request["backend"],
            request.get("dtype"),
            slicing=bool(request.get("slice")),
            elsewhere=elsewhere,
        )
        self.live.show(self.desk.shown, dragging=False, anew=True)

    def _search(self, request: Request) -> None:
        if request["action"] == "start":
            self.live.start_search()
        else:
            self.live.search.stop()

    def _inspect(self, request: Request) -> None:
        self._looking = request
        self._show_inside(request)

    def _show_inside(self, request: Request) -> None:
        network = self.desk.shown.network
        chosen = network.tensor_by_id.get(request["tensor"]) if request["tensor"] else None
        if chosen is not None:
            names, title = chosen.indices, chosen.name
            array = make_array(
                chosen.array, network.shape(chosen), self.desk.shown.dtype, self.store
            )
        elif self.live.result is not None:
            array, names, title = self.live.result.value, self.live.result_indices, ""
        else:
            return
        look = look_at(
            array,
            names,
            rows=request["rows"],
            columns=request["columns"],
            fixed=request["fixed"],
        )
        self.inspection.show(look, dark=request["dark"])
        self.send(
            {
                "kind": "inspection",
                "tensor": request["tensor"],
                "title": title,
                "shape": list(array.shape),
                "indices": list(names),
                "fixed": dict(look.fixed),
                "rows": list(look.rows),
                "columns": list(look.columns),
                "note": look.note,
            }
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(
            "bad-file", "The file did not arrive whole.", "Open it again."
        ) from error
