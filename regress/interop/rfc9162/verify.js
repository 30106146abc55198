// verify.js - exported proofs, judged by npm's @transmute/rfc9162 (the tree only; signatures are audit_check.go's)
//
//     node verify.js inclusion PROOF LEAF
//     node verify.js consistency OLD-NOTE REQUEST
//
// Exits 1 for what does not verify.
const fs = require('fs');
const { RFC9162 } = require('@transmute/rfc9162');

const hash = (line) => {
    const b = Buffer.from(line, 'base64');
    if (b.length !== 32 || b.toString('base64') !== line) throw new Error(`no hash: ${line}`);
    return Uint8Array.from(b);
};
// Lines before the first empty one, and what is behind it.
const head = (file) => {
    const text = fs.readFileSync(file, 'utf8');
    const at = text.indexOf('\n\n');
    return [text.slice(0, at).split('\n'), text.slice(at + 2)];
};
const checkpoint = (note) => {
    const line = note.split('\n');
    return { size: Number(line[1]), root: hash(line[2]) };
};

async function inclusion(proofFile, leafFile) {
    const [lines, note] = head(proofFile);
    const { size, root } = checkpoint(note);
    return RFC9162.verifyInclusionProof(root, await RFC9162.leaf(Uint8Array.from(fs.readFileSync(leafFile))), {
        log_id: '', tree_size: size, leaf_index: Number(lines[1].slice('index '.length)), inclusion_path: lines.slice(2).map(hash),
    });
}

async function consistency(oldFile, requestFile) {
    const [lines, note] = head(requestFile);
    const now = checkpoint(note), was = checkpoint(fs.readFileSync(oldFile, 'utf8'));
    const path = lines.slice(1).map(hash);
    // RFC 9162 2.1.4.2, step 2, which this package leaves to its caller.
    if (Number.isInteger(Math.log2(was.size))) path.unshift(was.root);
    return RFC9162.verifyConsistencyProof(was.root, now.root, {
        log_id: '', tree_size_1: was.size, tree_size_2: now.size, consistency_path: path,
    });
}

const [what, ...files] = process.argv.slice(2);
(what === 'inclusion' ? inclusion(...files) : consistency(...files))
    .then((ok) => process.exit(ok ? 0 : 1))
    .catch((e) => { console.error(String(e)); process.exit(1); });
