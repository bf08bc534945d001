"""TypeScript to ES modules by esbuild, and the stylesheets and fonts beside them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sitebuild import environment
from sitebuild.stamps import Stamp, digest_of, files_under

if TYPE_CHECKING:
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["bundle", "bundle_one", "bundle_tests"]

ENTRIES = {
    "boot": "app/tensorloom/view/page/boot.ts",
    "editor": "app/tensorloom/view/editor/index.tsx",
    "embed": "workers/browser/embed/embed.ts",
    "fetch.worker": "workers/browser/fetch.worker.ts",
    "helper.worker": "workers/browser/engine/helper.worker.ts",
    "python.worker": "workers/browser/python.worker.ts",
    "search.worker": "workers/browser/search.worker.ts",
}

REMOTE = "app/tensorloom/view/editor/remote/index.tsx"
PAGE_REACT = "app/tensorloom/view/editor/remote/pageReact"
"""What is loaded when a worker is wanted: a bundle that takes React from the editor's."""

SERVED = "app/tensorloom/view/editor/served"
"""Where ``panel serve`` finds the editor and the fonts; not under version control."""

SERVICE_WORKER = "workers/browser/service-worker.ts"

OPTIONS = (
    "--bundle",
    "--format=esm",
    "--target=es2022",
    "--minify",
    "--legal-comments=none",
    "--jsx=automatic",
    "--loader:.css=text",
    '--define:process.env.NODE_ENV="production"',
    "--log-level=warning",
)

FONTS = {
    "inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "inter-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
    "inter-greek.woff2": "@fontsource-variable/inter/files/inter-greek-wght-normal.woff2",
    "katex-math-italic.woff2": "katex/dist/fonts/KaTeX_Math-Italic.woff2",
    "katex-main.woff2": "katex/dist/fonts/KaTeX_Main-Regular.woff2",
    "katex-main-italic.woff2": "katex/dist/fonts/KaTeX_Main-Italic.woff2",
}


def _sources(root: Path) -> list[Path]:
    """Everything a bundle is made from."""
    places = (
        root / "app" / "tensorloom" / "view",
        root / "workers" / "browser",
        root / "app" / "package-lock.json",
        root / "app" / "sitebuild" / "bundle.py",
    )
    return [
        path for path in files_under(*places) if path.suffix != ".py" or path.name == "bundle.py"
    ]


def bundle(env: Environment, out: Path) -> str:
    """The hash of what was bundled into ``out``; nothing is done where nothing changed."""
    digest = digest_of(_sources(env.root), below=env.root)
    stamp = Stamp(out / ".stamp", digest)
    if stamp.fresh and (env.root / SERVED).is_dir():
        return digest
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    entries = [f"{name}={env.root / path}" for name, path in ENTRIES.items()]
    _esbuild(env, [*entries, f"--outdir={out}", *OPTIONS])
    remote = [f"remote={env.root / REMOTE}", f"--outdir={out}", *OPTIONS]
    react = f"--alias:react={env.root / PAGE_REACT}"
    _esbuild(env, [*remote, react, "--resolve-extensions=.tsx,.ts,.js,.cjs,.json"])
    # A classic script: module service workers are not everywhere yet.
    worker = [str(env.root / SERVICE_WORKER), f"--outfile={out / 'service-worker.js'}"]
    _esbuild(env, [*worker, *OPTIONS, "--format=iife"])
    fonts = out / "fonts"
    fonts.mkdir()
    for name, path in FONTS.items():
        shutil.copyfile(env.modules / path, fonts / name)
    served = env.root / SERVED
    shutil.rmtree(served, ignore_errors=True)
    shutil.copytree(fonts, served / "fonts")
    shutil.copyfile(out / "editor.js", served / "editor.js")
    stamp.write()
    return digest


def bundle_one(env: Environment, source: Path, out: Path) -> None:
    """One module of the build itself, not of the site."""
    _esbuild(env, [str(source), f"--outdir={out}", *OPTIONS])


def bundle_tests(env: Environment, out: Path) -> list[Path]:
    """Bundles of ``tests/ts/*.test.ts`` for Node's own test runner."""
    files = sorted((env.root / "tests" / "ts").glob("*.test.ts*"))
    shutil.rmtree(out, ignore_errors=True)
    options = [option for option in OPTIONS if option != "--minify"]
    _esbuild(
        env,
        [
            *map(str, files),
            f"--outdir={out}",
            *options,
            "--platform=node",
            "--out-extension:.js=.mjs",
        ],
    )
    return sorted(out.glob("*.mjs"))


def _esbuild(env: Environment, arguments: list[str]) -> None:
    variables = {**env.variables(), "NODE_PATH": str(env.modules)}
    environment.run([*env.esbuild, *arguments], what="Bundling (esbuild)", variables=variables)
