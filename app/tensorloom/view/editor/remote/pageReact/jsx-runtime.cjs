/** The other half of the editor's React, see index.cjs. */
module.exports = globalThis.tensorloomReact.jsx;
