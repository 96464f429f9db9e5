// Checks a C2SP tlog-tiles directory with golang.org/x/mod alone: tiles DIR VKEY.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type directory string

func (d directory) Height() int { return 8 }

// tlog's own paths begin with the height of its tiles, C2SP's do not: tile/8/0/001.p/5 is tile/0/001.p/5.
func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(string(d), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (d directory) SaveTiles([]tlog.Tile, [][]byte) {}

func (d directory) tree(vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	msg, err := os.ReadFile(filepath.Join(string(d), "checkpoint"))
	check(err)
	opened, err := note.Open(msg, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

func (d directory) entries(n, size int64) [][]byte {
	path := strings.TrimPrefix(tlog.Tile{H: 8, L: 0, N: n, W: int(min(256, size-n*256))}.Path(), "tile/8/0/")
	data, err := os.ReadFile(filepath.Join(string(d), "tile/entries", path))
	check(err)
	var all [][]byte
	for len(data) > 0 {
		length := int(binary.BigEndian.Uint16(data))
		all = append(all, data[2:2+length])
		data = data[2+length:]
	}
	return all
}

func main() {
	d := directory(os.Args[1])
	tree := d.tree(os.Args[2])
	hashes := tlog.TileHashReader(tree, d)
	var index int64
	for n := int64(0); n*256 < tree.N; n++ {
		for _, entry := range d.entries(n, tree.N) {
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			check(err)
			check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
			index++
		}
	}
	if index != tree.N {
		check(fmt.Errorf("%d entries under a checkpoint of %d", index, tree.N))
	}
	for _, old := range []int64{1, tree.N / 3, tree.N / 2, tree.N - 1} {
		if old < 1 {
			continue
		}
		root, err := tlog.TreeHash(old, hashes)
		check(err)
		proof, err := tlog.ProveTree(tree.N, old, hashes)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old, root))
	}
	fmt.Printf("%d entries, %x\n", tree.N, tree.Hash[:])
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
