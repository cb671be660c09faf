"""Sentence embeddings, and how central each sentence is to the book's themes."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from ..errors import UserError, WorldError

FIT_SENTENCES = 20_000
"""The SVD and the clusters are fitted on at most this many sentences, so that long books stay cheap."""
MAX_FEATURES = 50_000
SENTENCE_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, eq=False)
class Embedding:
    """Float array [sentences, dimensions] of unit rows; a sentence without a kept word has a zero row."""

    vectors: np.ndarray
    notes: list[str]


def _sample(count: int, seed: int) -> np.ndarray:
    """Sorted indices of at most FIT_SENTENCES of ``count`` rows."""
    if count <= FIT_SENTENCES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, FIT_SENTENCES, replace=False))


def _kept_columns(counts: sparse.csr_matrix) -> np.ndarray:
    """Columns of words that occur in at least two sentences and at most half of them; all columns if there are none."""
    document_frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    kept = np.flatnonzero((document_frequency >= 2) & (document_frequency <= counts.shape[0] / 2))
    if kept.size == 0:
        return np.arange(counts.shape[1])
    order = np.argsort(-document_frequency[kept], kind="stable")[:MAX_FEATURES]
    return np.sort(kept[order])


@dataclass(frozen=True, eq=False)
class TfidfEmbedding:
    """TF-IDF reduced by a truncated SVD, fitted on the sentences of one text and applicable to those of any other.

    columns: the words kept. svd: None if the text was too small for one; a sentence is then its summed weight.
    """

    columns: np.ndarray
    weights: TfidfTransformer
    svd: TruncatedSVD | None
    notes: list[str]

    def transform(self, counts: sparse.csr_matrix) -> np.ndarray:
        """Unit rows (or zero rows) [sentences, dimensions] for counts [sentences, words] over the fitted words."""
        weights = self.weights.transform(counts[:, self.columns])
        return normalize(np.asarray(weights.sum(axis=1)) if self.svd is None else self.svd.transform(weights))


def fit_tfidf(counts: sparse.csr_matrix, dim: int, seed: int) -> TfidfEmbedding:
    """Fit an embedding on word counts [sentences, words] with summed duplicates.

    There are fewer than ``dim`` dimensions (with a note) if the book has too few sentences or words.
    """
    notes: list[str] = []
    columns = _kept_columns(counts)
    transformer = TfidfTransformer(sublinear_tf=True)
    weights = transformer.fit_transform(counts[:, columns])
    rows = _sample(weights.shape[0], seed)
    possible = min(rows.size, weights.shape[1]) - 1
    if possible < dim:
        notes.append(f"embedding_dim: {max(possible, 1)} instead of {dim}, the book is small")
    svd = None
    if possible >= 1:
        svd = TruncatedSVD(n_components=min(dim, possible), random_state=seed).fit(weights[rows])
    return TfidfEmbedding(columns, transformer, svd, notes)


def embed_tfidf(counts: sparse.csr_matrix, dim: int, seed: int, fit: int) -> Embedding:
    """Embed all sentences, fitted on the first ``fit``; ``counts`` and ``dim`` are as for ``fit_tfidf``."""
    fitted = fit_tfidf(counts[:fit], dim, seed)
    return Embedding(fitted.transform(counts), fitted.notes)


def embed_with_model(sentences: list[str]) -> Embedding:
    """Embed sentences with the model all-MiniLM-L6-v2 of sentence-transformers.

    Raises UserError if the extra is missing, WorldError if the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            "embedding=sentence-transformers needs an extra: pip install 'tiny-diffusion[embeddings]'"
        ) from error
    try:
        model = SentenceTransformer(SENTENCE_MODEL)
    except OSError as error:
        raise WorldError(f"sentence-transformers cannot load {SENTENCE_MODEL!r}: {error}") from error
    vectors = model.encode(sentences, normalize_embeddings=True, show_progress_bar=False)
    return Embedding(normalize(np.asarray(vectors, dtype=np.float64)), [])


def centrality(vectors: np.ndarray, clusters: int, seed: int, fit: int) -> tuple[np.ndarray, list[str]]:
    """Cosine of each row with the centre of its own cluster, times the cluster's share of all rows; high means central.

    Returns a float array [rows] and notes. Clusters are fitted on the first ``fit`` rows, for a long book on a sample
    of them. If there are fewer distinct rows than ``clusters``, the number of clusters is lowered, with a note.
    """
    notes: list[str] = []
    # Rounding removes the SVD's rounding errors, so that equal sentences have equal rows.
    vectors = np.round(vectors.astype(np.float64), 9)
    fitted = vectors[_sample(fit, seed)]
    distinct = len(np.unique(fitted, axis=0))
    if distinct < clusters:
        notes.append(f"clusters: {distinct} instead of {clusters}, the book has no more distinct sentences")
    kmeans = KMeans(min(clusters, distinct), random_state=seed, n_init=4).fit(fitted)
    labels = kmeans.predict(vectors)
    share = np.bincount(labels[:fit], minlength=kmeans.n_clusters) / fit
    cosine = np.einsum("nd,nd->n", vectors, normalize(kmeans.cluster_centers_)[labels])
    return cosine * share[labels], notes
