"""make-ghost-base: like make-base, with vectors in the index files that belong to no record.

chromadb 0.x forgets the second deletion when an indexed id is deleted, added and deleted
again within one batch of its vector writer. Every version opens such directories and
answers queries with the id, without document and metadata.
"""

from __future__ import annotations

import json
from argparse import Namespace

from . import compat, ops
from .base import make_base, make_maker

TRIPLES = 4


def make_ghost_base(arguments: Namespace) -> int:
    if compat.VERSION >= (1,):
        raise SystemExit("only chromadb 0.x makes ghosts")
    if arguments.threshold < 8 * TRIPLES or arguments.records < 3 * arguments.threshold:
        raise SystemExit("one batch, half the threshold, must hold all of it")
    name, = ops.parse_collections(arguments.collections, arguments.records)
    make_base(arguments)
    maker = make_maker("ghost", name, arguments)
    with compat.session(arguments.out) as client:
        collection = compat.get_collection(client, name)
        # The oldest are in the index files; a batch may end within one triple, not within all.
        for record_id in collection.get(limit=TRIPLES, include=[])["ids"]:
            collection.delete(ids=[record_id])
            collection.add(ids=[record_id], embeddings=[maker.vector()])
            collection.delete(ids=[record_id])
        fresh = [maker.record_id("after", n) for n in range(arguments.threshold)]
        collection.add(ids=fresh, embeddings=[maker.vector() for _ in fresh])
    with compat.session(arguments.out) as client:
        collection = compat.get_collection(client, name)
        live = list(collection.get(include=[])["ids"])
        answers = collection.query(query_embeddings=[maker.vector()], n_results=len(live),
                                   include=["distances"])
        ghosts = sorted(set(answers["ids"][0]) - set(live))
    if not ghosts:
        raise SystemExit("no ghost came out")
    if arguments.ids_out:
        ops.write_json(arguments.ids_out, {name: live})
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "live": {name: len(live)},
                      "ghosts": ghosts}))
    return 0
