/** The React of the editor's bundle: hooks work only with the copy that renders the page. */
module.exports = globalThis.tensorloomReact.React;
