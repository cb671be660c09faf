"""Tables of connectives and subordinators, and the counts that the difficulty scores take from them."""

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

ROLES = ("claim", "evidence", "contrast")
"""What a connective introduces: a consequence or conclusion; a cause or example; an objection or condition."""

_CONNECTIVES: dict[str, dict[str, str]] = {
    "en": {
        "claim": "therefore|thus|hence|consequently|accordingly|as a result|in conclusion|it follows that"
        "|and so"
        "|for this reason|for that reason|in short|so that|must be|wherefore|thereby",
        "evidence": "because|since|for example|for instance|inasmuch as|seeing that|such as|owing to|due to"
        "|in fact"
        "|on account of|given that|in that|namely",
        "contrast": "but|however|although|though|yet|nevertheless|nonetheless|notwithstanding"
        "|on the other hand"
        "|on the contrary|whereas|despite|in spite of|unless|otherwise|if|moreover|besides|rather than",
    },
    "fr": {
        "claim": "donc|ainsi|par conséquent|en conséquence|c'est pourquoi|de sorte que|en conclusion|en somme"
        "|il s'ensuit|dès lors|aussi bien",
        "evidence": "parce que|parce qu'|puisque|puisqu'|car|par exemple|en effet|à cause de|attendu que"
        "|étant donné"
        "|comme|grâce à",
        "contrast": "mais|cependant|pourtant|toutefois|néanmoins|quoique|quoiqu'|bien que|bien qu'"
        "|au contraire"
        "|tandis que|malgré|d'ailleurs|sinon|si|or|en revanche",
    },
    "de": {
        "claim": "daher|deshalb|also|somit|folglich|demnach|deswegen|infolgedessen|sodass|so dass|mithin|kurzum",
        "evidence": "weil|denn|da|zum beispiel|nämlich|wegen|aufgrund|zumal|etwa|in der tat",
        "contrast": "aber|jedoch|obwohl|obgleich|dennoch|trotzdem|allerdings|hingegen|dagegen|sondern"
        "|während|falls"
        "|wenn|außerdem|sonst|zwar|im gegenteil|doch",
    },
    "es": {
        "claim": "por tanto|por lo tanto|por consiguiente|así que|en consecuencia|de modo que|pues bien"
        "|en suma"
        "|por eso|de ahí que|luego",
        "evidence": "porque|puesto que|ya que|por ejemplo|pues|en efecto|dado que|a causa de|debido a|como",
        "contrast": "pero|sin embargo|aunque|no obstante|sino|mientras que|a pesar de|al contrario|además|si"
        "|en cambio|mas|con todo",
    },
    "it": {
        "claim": "dunque|quindi|perciò|pertanto|di conseguenza|così che|sicché|insomma|in conclusione|per questo",
        "evidence": "perché|poiché|giacché|per esempio|ad esempio|infatti|siccome|a causa di|dato che|visto che",
        "contrast": "ma|però|tuttavia|sebbene|benché|eppure|nondimeno|mentre|invece|al contrario|nonostante"
        "|se"
        "|inoltre|altrimenti|anzi",
    },
    "ru": {
        "claim": "поэтому|следовательно|таким образом|итак|значит|вследствие этого|так что|стало быть|потому и",
        "evidence": "потому что|так как|ибо|например|поскольку|ведь|из-за|благодаря|в самом деле|оттого что",
        "contrast": "но|однако|хотя|зато|тем не менее|несмотря на|напротив|впрочем|если|а не|иначе|кроме того",
    },
}

_SUBORDINATORS: dict[str, str] = {
    "en": "that|which|who|whom|whose|when|where|while|because|although|though|if|unless|since|until|whether"
    "|as"
    "|before|after|lest|whereas|whenever|wherever",
    "fr": "que|qu'|qui|dont|où|quand|lorsque|lorsqu'|parce|puisque|si|comme|quoique|afin|tandis|lequel|laquelle",
    "de": "dass|daß|welcher|welche|welches|weil|wenn|als|ob|obwohl|während|damit|nachdem|bevor|indem|wo|sodass",
    "es": "que|quien|quienes|cuyo|cuya|donde|cuando|porque|aunque|si|como|mientras|pues|cual|cuales",
    "it": "che|chi|cui|quale|quali|dove|quando|perché|benché|sebbene|se|come|mentre|poiché|finché",
    "ru": "что|чтобы|который|которая|которое|которые|которого|которой|которых|когда|где|если|хотя|пока|как|ибо",
}


def has_connectives(language: str) -> bool:
    """Whether there is a table of connectives for the two-letter ``language``."""
    return language in _CONNECTIVES


def _compile(alternatives: str) -> re.Pattern[str]:
    """Compile a matcher of whole words, with the longest alternative first; elided words (``qu'``) end at their
    apostrophe.
    """
    words = sorted(alternatives.split("|"), key=lambda word: (-len(word), word))
    closed = (re.escape(word) if word.endswith("'") else re.escape(word) + r"\b" for word in words)
    return re.compile(rf"\b(?:{'|'.join(closed)})")


@lru_cache(maxsize=16)
def _role_table(language: str) -> tuple[re.Pattern[str], dict[str, int]]:
    table = _CONNECTIVES[language]
    column = {_plain(word): ROLES.index(role) for role, words in table.items() for word in words.split("|")}
    return _compile("|".join(column)), column


def _plain(text: str) -> str:
    return text.casefold().replace("’", "'")


def count_roles(texts: Iterable[str], language: str) -> np.ndarray:
    """Count the connectives of each role per text: int array [texts, len(ROLES)]; all zeros without a table."""
    if language not in _CONNECTIVES:
        return np.zeros((sum(1 for _ in texts), len(ROLES)), dtype=np.int64)
    pattern, column = _role_table(language)
    rows = []
    for text in texts:
        row = [0] * len(ROLES)
        for word in pattern.findall(_plain(text)):
            row[column[word]] += 1
        rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(-1, len(ROLES))


def subordinators(language: str) -> frozenset[str]:
    """Single words that open a subordinate clause, case-folded; empty without a table."""
    words = _SUBORDINATORS.get(language, "")
    return frozenset(word.casefold() for word in words.split("|") if word)
