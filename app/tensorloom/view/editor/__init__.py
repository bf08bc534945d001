"""The editor: TypeScript, and the Panel component that carries it."""
