"""The workbench: session, Panel components, plots; ``editor`` and ``page`` are TypeScript."""
