"""The workbench: session (messages), Panel components, plots; ``editor`` and ``page`` are TypeScript."""
