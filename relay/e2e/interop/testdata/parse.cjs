// Parses each PowerShell script named on the command line with tree-sitter's
// grammar, and prints what it does not understand.
const fs = require("fs");
const { Parser, Language } = require("web-tree-sitter");

function faults(node, file) {
  if (node.isError || node.isMissing) {
    console.log(`${file}:${node.startPosition.row + 1}: ${node.text.slice(0, 120)}`);
  }
  for (const child of node.children) faults(child, file);
}

(async () => {
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(require.resolve("tree-sitter-powershell/tree-sitter-powershell.wasm")));
  for (const file of process.argv.slice(2)) {
    const tree = parser.parse(fs.readFileSync(file, "utf8"));
    console.log(`parsed ${file} ${tree.rootNode.descendantCount}`);
    if (tree.rootNode.hasError) faults(tree.rootNode, file);
    tree.delete();
  }
  process.exit(0); // the engine would keep Node.js alive
})();
