// audit_check - exported checkpoints, proofs and notes, judged by Go's golang.org/x/mod/sumdb/note and tlog
//
//	audit_check checkpoint POLICY NOTE              prints size and root
//	audit_check inclusion POLICY PROOF LEAF
//	audit_check consistency POLICY OLD-NOTE REQUEST
//	audit_check mirror POLICY FOLDER                every entry, authenticated by tlog's tile reader; prints size
//	audit_check note VKEY NOTE                      prints the text
//
// Exits 1 for what does not verify. That package knows plain Ed25519 keys only; the verifier of cosignatures (C2SP
// tlog-cosignature, type 4) is written here from its specification.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit_check:", err)
		os.Exit(1)
	}
}

func refuse(why string) { check(fmt.Errorf("%s", why)) }

func read(path string) []byte {
	b, err := os.ReadFile(path)
	check(err)
	return b
}

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	m := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", t)), msg...)
	return t < 1<<63 && ed25519.Verify(c.key, m, sig[8:])
}

func newCosigner(vkey string) *cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		refuse("malformed key of a witness")
	}
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	check(err)
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	check(err)
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), typed...))
	if len(typed) != 33 || typed[0] != 4 || binary.BigEndian.Uint32(sum[:]) != uint32(hash) {
		refuse("malformed key of a witness")
	}
	return &cosigner{parts[0], uint32(hash), ed25519.PublicKey(typed[1:])}
}

// Our policies: one log, witnesses, "group validators K ...".
type policy struct {
	log       note.Verifier
	witnesses []note.Verifier
	k         int
}

func readPolicy(path string) (p policy) {
	for _, line := range strings.Split(string(read(path)), "\n") {
		w := strings.Fields(line)
		switch {
		case len(w) >= 2 && w[0] == "log":
			v, err := note.NewVerifier(w[1])
			check(err)
			p.log = v
		case len(w) >= 3 && w[0] == "witness":
			p.witnesses = append(p.witnesses, newCosigner(w[2]))
		case len(w) >= 3 && w[0] == "group":
			k, err := strconv.Atoi(w[2])
			check(err)
			p.k = k
		}
	}
	if p.log == nil || p.k < 1 {
		refuse("a policy without a log or a quorum")
	}
	return p
}

// The log's signature by the library alone, then with the cosigners', and the checkpoint in the text.
func (p policy) open(msg []byte) tlog.Tree {
	_, err := note.Open(msg, note.VerifierList(p.log))
	check(err)
	n, err := note.Open(msg, note.VerifierList(append(p.witnesses, p.log)...))
	check(err)
	if len(n.Sigs) < p.k+1 {
		refuse("too few cosignatures")
	}
	line := strings.Split(n.Text, "\n")
	if len(line) != 4 || line[3] != "" || line[0] != p.log.Name() {
		refuse("no checkpoint of this log")
	}
	size, err := strconv.ParseInt(line[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(line[2])
	check(err)
	return tlog.Tree{N: size, Hash: root}
}

func hashes(lines []string) (h []tlog.Hash) {
	for _, line := range lines {
		one, err := tlog.ParseHash(line)
		check(err)
		h = append(h, one)
	}
	return h
}

// Lines before the first empty one, and what is behind it.
func head(b []byte) ([]string, []byte) {
	at := strings.Index(string(b), "\n\n")
	if at < 0 {
		refuse("malformed")
	}
	return strings.Split(string(b[:at]), "\n"), b[at+2:]
}

func number(line, word string) int64 {
	if !strings.HasPrefix(line, word+" ") {
		refuse("no line with " + word)
	}
	n, err := strconv.ParseInt(line[len(word)+1:], 10, 64)
	check(err)
	return n
}

func inclusion(p policy, proof, leaf []byte) {
	lines, msg := head(proof)
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		refuse("no tlog-proof")
	}
	tree := p.open(msg)
	check(tlog.CheckRecord(hashes(lines[2:]), tree.N, tree.Hash, number(lines[1], "index"), tlog.RecordHash(leaf)))
}

func consistency(p policy, old, request []byte) {
	lines, msg := head(request)
	tree, was := p.open(msg), p.open(old)
	if number(lines[0], "old") != was.N {
		refuse("a proof from another size")
	}
	check(tlog.CheckTree(hashes(lines[1:]), tree.N, tree.Hash, was.N, was.Hash))
}

// A folder of C2SP tiles (tile/L/N), as Go's tlog asks for its own (tile/8/L/N).
type folder string

func (f folder) Height() int                            { return 8 }
func (f folder) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		b, err := os.ReadFile(string(f) + "/" + strings.Replace(t.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

// The bundle of entries that holds leaf n, named as Go names a tile of data.
func (f folder) entries(n, size int64) (leaves [][]byte) {
	t := tlog.Tile{H: 8, L: -1, N: n / 256, W: 256}
	if rest := size - t.N*256; rest < 256 {
		t.W = int(rest)
	}
	b := read(string(f) + "/" + strings.Replace(t.Path(), "tile/8/data/", "tile/entries/", 1))
	for len(b) >= 2 {
		k := 2 + int(binary.BigEndian.Uint16(b))
		if len(b) < k {
			refuse("entries end too soon")
		}
		leaves = append(leaves, b[2:k])
		b = b[k:]
	}
	if len(b) != 0 || len(leaves) != t.W {
		refuse("entries of another width")
	}
	return leaves
}

func mirror(p policy, dir string) {
	f := folder(dir)
	tree := p.open(read(dir + "/checkpoint"))
	reader := tlog.TileHashReader(tree, f)
	for n := int64(0); n < tree.N; n += 256 {
		for i, leaf := range f.entries(n, tree.N) {
			h, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n+int64(i))})
			check(err)
			if h[0] != tlog.RecordHash(leaf) {
				refuse(fmt.Sprintf("entry %d is not that of the tree", n+int64(i)))
			}
		}
	}
	fmt.Println(tree.N)
}

func main() {
	if len(os.Args) < 4 {
		refuse("usage")
	}
	switch a := os.Args[1:]; a[0] {
	case "checkpoint":
		tree := readPolicy(a[1]).open(read(a[2]))
		fmt.Println(tree.N, tree.Hash)
	case "inclusion":
		inclusion(readPolicy(a[1]), read(a[2]), read(a[3]))
	case "consistency":
		consistency(readPolicy(a[1]), read(a[2]), read(a[3]))
	case "mirror":
		mirror(readPolicy(a[1]), a[2])
	case "note":
		v, err := note.NewVerifier(strings.TrimSpace(string(read(a[1]))))
		check(err)
		n, err := note.Open(read(a[2]), note.VerifierList(v))
		check(err)
		fmt.Print(n.Text)
	default:
		refuse("usage")
	}
}
