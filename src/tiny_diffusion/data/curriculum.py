"""The examples of each stage: easy sentences, pairs of evidence and claim, or whole passages; the easiest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, assert_never

import numpy as np

from ..config.curriculum_config import StageConfig
from ..errors import UserError
from .difficulty import Difficulty, percentiles
from .language.connectives import ROLES, count_roles
from .sentences import Sentence
from .splitting import BREAK
from .tokenizer import SEP, BookTokenizer

Example = tuple[str, ...]
"""The segments of one example: one text, or two neighbouring sentences (joined by SEP when encoded)."""

GROUP = 20
"""Examples of like length among which the easiest are chosen."""
DECAY = 0.9
"""Decay per epoch of the running mean of an example's loss."""

_QUOTES = frozenset('"“”„«»‹›「」『』‘')
_SPEECH_DASHES = ("—", "–", "―", "- ")


@dataclass(frozen=True)
class _Limit:
    """One limit of a stage on the percentiles of its candidates."""

    setting: str
    value: float
    passed: np.ndarray
    advice: str


def _percentiles(difficulty: Difficulty) -> dict[str, np.ndarray]:
    """All that stages limit, as percentiles of each sentence: the scores, and the combined difficulty."""
    return {**difficulty.scores, "combined": percentiles(difficulty.combined)}


def _limits(stage: StageConfig, scores: Mapping[str, np.ndarray]) -> list[_Limit]:
    complexity, rarity = scores["syntactic_complexity"], scores["lexical_rarity"]
    centrality, combined = scores["thematic_centrality"], scores["combined"]
    return [
        _Limit("max_complexity", stage.max_complexity, complexity <= stage.max_complexity, "raise"),
        _Limit("min_centrality", stage.min_centrality, centrality >= stage.min_centrality, "lower"),
        _Limit("max_rarity", stage.max_rarity, rarity <= stage.max_rarity, "raise"),
        _Limit("max_difficulty", stage.max_difficulty, combined <= stage.max_difficulty, "raise"),
    ]


def _select(stage: StageConfig, what: str, limits: list[_Limit]) -> np.ndarray:
    """Positions of the candidates within all limits; raises UserError, naming the strictest limit, if there is none."""
    kept = np.flatnonzero(np.logical_and.reduce([limit.passed for limit in limits]))
    if kept.size == 0:
        strictest = min(limits, key=lambda limit: int(limit.passed.sum()))
        raise UserError(
            f"stage {stage.name!r} is empty: none of {len(limits[0].passed)} {what} is within its limits; "
            f"{strictest.advice} {strictest.setting} (now {strictest.value})"
        )
    return kept


def _is_speech(text: str) -> bool:
    return text.startswith(_SPEECH_DASHES) or not _QUOTES.isdisjoint(text)


def _follows(first: Sentence, second: Sentence) -> bool:
    """Whether two neighbours belong together: in one paragraph, or in an exchange of speech within one chapter."""
    if first.passage != second.passage:
        return False
    if first.paragraph == second.paragraph:
        return second.index == first.index + 1
    answers = second.paragraph == first.paragraph + 1 and second.index in (0, first.index + 1)
    return answers and not second.chapter and _is_speech(first.text) and _is_speech(second.text)


def _build_sentences(stage: StageConfig, sentences: Sequence[Sentence], difficulty: Difficulty) -> list[Example]:
    kept = _select(stage, "sentences", _limits(stage, _percentiles(difficulty)))
    return [(sentences[i].text,) for i in kept]


def _pairs(stage: StageConfig, sentences: Sequence[Sentence], difficulty: Difficulty) -> tuple[list[int], list[int]]:
    """The first sentence of each pair, and how much more it claims than the second: 0 where no connective decides.

    A sentence claims its connectives of consequence less those of cause. Limits apply to the mean of the pair.
    """
    first = np.array([i for i in range(len(sentences) - 1) if _follows(sentences[i], sentences[i + 1])], dtype=np.int64)
    if first.size == 0:
        raise UserError(
            f"stage {stage.name!r} is empty: no paragraph has two sentences in a row to pair; "
            f"set format to 'sentences' or 'paragraphs' (now {stage.format!r})"
        )
    mean = {name: (values[first] + values[first + 1]) / 2 for name, values in _percentiles(difficulty).items()}
    kept = first[_select(stage, "pairs of sentences", _limits(stage, mean))]
    roles = count_roles((sentence.text for sentence in sentences), difficulty.language)
    claiming = roles[:, ROLES.index("claim")] - roles[:, ROLES.index("evidence")]
    return kept.tolist(), (claiming[kept] - claiming[kept + 1]).tolist()


def _build_pairs(stage: StageConfig, sentences: Sequence[Sentence], difficulty: Difficulty) -> list[Example]:
    """Neighbouring sentences as (evidence, claim) by their connectives, or in the order of the text."""
    examples: list[Example] = []
    for i, claims in zip(*_pairs(stage, sentences, difficulty), strict=True):
        first, second = sentences[i].text, sentences[i + 1].text
        examples.append((second, first) if claims > 0 else (first, second))
    return examples


def count_argued_pairs(stage: StageConfig, sentences: Sequence[Sentence], difficulty: Difficulty) -> tuple[int, int]:
    """How many pairs of a stage are evidence and claim by their connectives, and how many pairs it has.

    Raises UserError for a stage that would be empty.
    """
    claims = _pairs(stage, sentences, difficulty)[1]
    return sum(claim != 0 for claim in claims), len(claims)


def chosen_passages(
    stage: StageConfig,
    sentences: Sequence[Sentence],
    difficulty: Difficulty,
    paragraphs_by_passage: Mapping[int, Sequence[str]],
) -> list[int]:
    """Numbers of the passages of a paragraph stage, whose limits apply to the mean over the sentences of a passage.

    The arguments and errors are those of ``build_stage``.
    """
    passages = [index for index in sorted(paragraphs_by_passage) if paragraphs_by_passage[index]]
    if not passages:
        raise UserError(f"stage {stage.name!r} is empty: there are no passages; lower passage_chars or give more text")
    if (stage.max_complexity, stage.min_centrality, stage.max_rarity, stage.max_difficulty) != (1.0, 0.0, 1.0, 1.0):
        position = {index: place for place, index in enumerate(passages)}
        known = [i for i, sentence in enumerate(sentences) if sentence.passage in position]
        place = np.array([position[sentences[i].passage] for i in known], dtype=np.int64)
        count = np.bincount(place, minlength=len(passages))
        mean = {}
        for name, values in _percentiles(difficulty).items():
            total = np.bincount(place, weights=values[known], minlength=len(passages))
            # A passage without a scored sentence has the mean NaN, which is within no limit.
            mean[name] = np.divide(total, count, out=np.full(len(passages), np.nan), where=count > 0)
        passages = [passages[i] for i in _select(stage, "passages", _limits(stage, mean))]
    return passages


def build_stage(
    stage: StageConfig,
    sentences: Sequence[Sentence],
    difficulty: Difficulty,
    paragraphs_by_passage: Mapping[int, Sequence[str]],
) -> list[Example]:
    """Return the stage's examples in book order, made from training text only.

    ``sentences`` are the training sentences in book order, ``difficulty`` their scores in the same order, and
    ``paragraphs_by_passage`` the paragraphs of the training passages by passage index. Raises UserError for a stage
    that would be empty, and ValueError if the numbers of sentences and scores differ.
    """
    if len(sentences) != len(difficulty.combined):
        raise ValueError(f"{len(sentences)} sentences but scores of {len(difficulty.combined)}")
    if stage.format == "sentences":
        return _build_sentences(stage, sentences, difficulty)
    if stage.format == "pairs":
        return _build_pairs(stage, sentences, difficulty)
    if stage.format == "paragraphs":
        chosen = chosen_passages(stage, sentences, difficulty, paragraphs_by_passage)
        return [(BREAK.join(paragraphs_by_passage[index]),) for index in chosen]
    assert_never(stage.format)


def encode_examples(examples: Sequence[Example], tokenizer: BookTokenizer, level: int) -> Iterator[list[int]]:
    """Yield the ids of each example, its segments joined by SEP."""
    for segments in examples:
        ids: list[int] = []
        for i, segment in enumerate(segments):
            ids += ([SEP] if i else []) + tokenizer.encode(segment, level)
        yield ids


def easiest(difficulty: np.ndarray, lengths: np.ndarray, share: float) -> np.ndarray:
    """Numbers, rising, of the easiest ``share`` of the examples among those of like length.

    ``difficulty`` and ``lengths`` are float or integer arrays [examples]. Groups of GROUP or more examples with
    neighbouring lengths give the same share each, and at least one example. So the chosen ones are as long as all of
    them on average, and their text is about the same share of all text.
    """
    by_length = np.argsort(lengths, kind="stable")
    chosen = []
    for group in np.array_split(by_length, max(1, len(by_length) // GROUP)):
        ranked = group[np.argsort(difficulty[group], kind="stable")]
        chosen.append(ranked[: max(1, round(share * len(group)))])
    return np.sort(np.concatenate(chosen))


@dataclass(eq=False)
class DynamicScorer:
    """Difficulty that follows the model while it trains: a static score of each example, blended with the model's loss.

    static: the score [examples]. weight: that of the loss, 0 to 1. loss: running mean in nats [examples]; None while
    none is known.
    """

    static: np.ndarray
    weight: float
    loss: np.ndarray | None = None

    def update(self, losses: np.ndarray) -> None:
        """Add the losses (nats) [examples] of one epoch; raises ValueError if one is not finite."""
        if not np.isfinite(losses).all():
            raise ValueError("losses must be finite")
        self.loss = losses if self.loss is None else DECAY * self.loss + (1 - DECAY) * losses

    def scores(self) -> np.ndarray:
        """Blended percentiles [examples]; high means harder."""
        static = percentiles(self.static)
        return static if self.loss is None else (1 - self.weight) * static + self.weight * percentiles(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """The state as plain data."""
        loss = None if self.loss is None else self.loss.tolist()
        return {"static": self.static.tolist(), "weight": self.weight, "loss": loss}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore the scorer from ``to_dict``; older states hold a list of None where no loss is known."""
        unknown = state["loss"] is None or None in state["loss"]
        loss = None if unknown else np.array(state["loss"], dtype=np.float64)
        return cls(np.array(state["static"], dtype=np.float64), state["weight"], loss)
