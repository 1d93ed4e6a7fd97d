// Parses each PowerShell script named on the command line with tree-sitter's
// grammar, and prints what it does not understand, and every command with its arguments.
const fs = require("fs");
const { Parser, Language } = require("web-tree-sitter");

function faults(node, file) {
  if (node.isError || node.isMissing) {
    console.log(`${file}:${node.startPosition.row + 1}: ${node.text.slice(0, 120)}`);
  }
  for (const child of node.children) faults(child, file);
}

function commands(node) {
  if (node.type === "command") console.log("command " + JSON.stringify(node.text.trimEnd()));
  for (const child of node.children) commands(child);
}

(async () => {
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(require.resolve("tree-sitter-powershell/tree-sitter-powershell.wasm")));
  for (const file of process.argv.slice(2)) {
    const tree = parser.parse(fs.readFileSync(file, "utf8"));
    console.log(`parsed ${file} ${tree.rootNode.descendantCount}`);
    if (tree.rootNode.hasError) faults(tree.rootNode, file);
    commands(tree.rootNode);
    tree.delete();
  }
  process.exit(0); // the engine would keep Node.js alive
})();
