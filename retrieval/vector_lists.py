"""Many vectors in little memory: lists around centres, in which every number of a vector is one bit.

A question looks into the lists whose centres are nearest. The bits (RaBitQ, Gao and Long 2024) choose thousands of
vectors, their 8-bit codes the best of these, and those are compared themselves. Codes and vectors stay on the disk: in
memory lists cost 66 bytes a vector where a graph costs 600, and are made in a tenth of the time. Measured beside it:
evaluation/DECISIONS.md.
"""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.protocol import Vectors

# Without its wrapper's types, which FAISS does not have.
_faiss: Any = faiss
_BATCH = 65_536
# Vectors that a centre is found by, and how often it is moved to the middle of its own.
_SAMPLE, _ROUNDS = 64, 8
# Numbers of lists that may be looked into, between one and its double.
DOUBLED = 4
# So many are chosen by the bits at least, so many for each one that is wanted, and one of so many that there are: the
# more vectors, the more lie as near as a bit can tell.
_SHORTLIST, _SHORTLIST_TIMES, _ONE_OF = 400, 20, 1_000


def lists_for(rows: int) -> int:
    """How many lists so many vectors are put into: about as many as there are vectors in each, a power of two."""
    return int(2 ** round(math.log2(max(16, rows)) / 2))


def grown_lists(vectors: Vectors, before: Any = None) -> Any:
    """FAISS's index with a list entry for each row of `vectors`; `before`, which has the first rows, is grown.

    Where there are so many more that they want more lists, all is made anew.
    """
    wanted = lists_for(len(vectors))
    lists = before if before is not None and _faiss.downcast_index(before.index).nlist == wanted else None
    if lists is None:
        lists = _empty(vectors, wanted)
    for start in range(lists.ntotal, len(vectors), _BATCH):
        lists.add(np.ascontiguousarray(vectors[start : start + _BATCH], np.float32))
    return lists


def probes_of(lists: Any) -> list[int]:
    """How many lists may be looked into, few first."""
    count = _faiss.downcast_index(lists.index).nlist
    return sorted({max(1, round(count / 2 ** (step / DOUBLED))) for step in range(7 * DOUBLED + 1)})


def parameters_of(probes: int) -> Any:
    """FAISS's object for a search of so many lists."""
    inner = _faiss.SearchParametersIVF(nprobe=probes)
    return _faiss.SearchParametersPreTransform(index_params=inner)


def shortlist(top_k: int, rows: int) -> int:
    """How many the bits bring where `top_k` of `rows` are wanted."""
    return min(rows, max(_SHORTLIST, top_k * _SHORTLIST_TIMES, rows // _ONE_OF))


def codes_of(vectors: Vectors, ends: Vectors) -> Any:
    """8-bit codes of all rows, for what the bits chose and for searches through a filter; `ends` of the columns."""
    codes = _faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    codes.train(ends)
    for start in range(0, len(vectors), _BATCH):
        codes.add(np.ascontiguousarray(vectors[start : start + _BATCH], np.float32))
    return codes


class CodedRows:
    """The rows of 8-bit codes, to be scored by number: a fourth of the bytes that the vectors themselves are.

    In a collection that is larger than the memory, it is these that the system has to keep.
    """

    def __init__(self, codes: Any) -> None:
        # The codes' own memory: whoever keeps the rows keeps `codes`.
        self._owner = codes
        flat = _faiss.rev_swig_ptr(codes.codes.data(), codes.codes.size())
        self._rows: NDArray[np.uint8] = flat.reshape(codes.ntotal, codes.d)
        least, span = _faiss.vector_to_array(codes.sq.trained).reshape(2, codes.d)
        self._step = (span / 255).astype(np.float32)
        self._zero = (least + self._step / 2).astype(np.float32)

    def scores(self, query: Vectors, rows: NDArray[np.int64]) -> Vectors:
        """float32 (len(rows),): inner products of the codes with `query` (dimension,)."""
        coded = self._rows.take(rows, axis=0).astype(np.float32)
        found: Vectors = coded @ (self._step * query) + self._zero @ query
        return found

    def best(self, query: Vectors, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The `count` best of `rows` in any order; -1, which is no row, only where there are not so many."""
        if len(rows) <= count:
            return rows
        scores = self.scores(query, rows)
        scores[rows < 0] = -np.inf
        return rows[np.argpartition(-scores, count - 1)[:count]]


def mapped(path: Path) -> Any:
    """The codes of a file, read when they are wanted: their memory is the system's to take back."""
    return _faiss.read_index(str(path), _faiss.IO_FLAG_MMAP_IFC)


def _empty(vectors: Vectors, count: int) -> Any:
    dimension = vectors.shape[1]
    # One bit says as much of each number only where none stands out: a rotation sees to that.
    rotation = _faiss.RandomRotationMatrix(dimension, dimension)
    rotation.init(7)
    centres = rotation.apply(_centres(vectors, count))
    coarse = _faiss.IndexFlatIP(dimension)
    coarse.add(centres)
    lists = _faiss.IndexIVFRaBitQFastScan(coarse, dimension, count, faiss.METRIC_INNER_PRODUCT)
    lists.train(centres)
    rotated = _faiss.IndexPreTransform(rotation, lists)
    rotated.is_trained = True
    return rotated


def _centres(vectors: Vectors, count: int) -> NDArray[np.float32]:
    """float32 (count, dimension): unit centres of a sample that is spread over all."""
    chosen = np.random.default_rng(0).choice(len(vectors), min(len(vectors), _SAMPLE * count), replace=False)
    sample = np.ascontiguousarray(vectors[np.sort(chosen)], np.float32)
    options = {"niter": _ROUNDS, "seed": 1, "spherical": True}
    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": _SAMPLE}
    found = _faiss.Kmeans(vectors.shape[1], count, **options, **limits)
    found.train(sample)
    return np.asarray(found.centroids, np.float32)
