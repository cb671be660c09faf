import pytest

from tiny_diffusion.data.language.connectives import ROLES
from tiny_diffusion.data.language.language import detect_language
from tiny_diffusion.data.language.tables import connectives, word_lists
from tiny_diffusion.data.language.words import (
    HYPHENATED_WORD,
    LETTER_RUN,
    LONG_LETTER_RUN,
    PRINTED_WORD,
    count_words,
    spelled_words,
    split_words,
)

SAMPLES = {
    "en": "The boat was on the river and he had not seen it before, but she said that it was hers.",
    "fr": "Le bateau était sur la rivière et il ne l'avait pas vu, mais elle a dit que c'était le sien.",
    "de": "Das Boot lag auf dem Fluss und er hatte es nicht gesehen, aber sie sagte, dass es ihr gehört.",
    "es": "El barco estaba en el río y no lo había visto antes, pero ella dijo que era de su padre.",
    "it": "La barca era sul fiume e non la aveva vista prima, ma lei disse che era di suo padre.",
    "pt": "O barco estava no rio e ele não o tinha visto antes, mas ela disse que era do seu pai.",
    "nl": "De boot lag op de rivier en hij had het niet gezien, maar zij zei dat het van haar vader was.",
    "sv": "Båten låg på floden och han hade inte sett den, men hon sade att det var hennes.",
    "ru": "Лодка стояла на реке, и он её раньше не видел.",
    "el": "Η βάρκα ήταν στο ποτάμι και δεν την είχε δει.",
    "zh": "船停在河上，他以前没有见过。",
    "ja": "舟は川の上にあって、彼はそれを見たことがなかった。",
    "ko": "배는 강 위에 있었고 그는 그것을 본 적이 없었다.",
    "ar": "كان القارب على النهر ولم يره من قبل",
    "he": "הסירה הייתה על הנהר והוא לא ראה אותה",
}


@pytest.mark.parametrize("code", SAMPLES)
def test_each_language(code: str) -> None:
    assert detect_language(SAMPLES[code]) == code


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("fi", "tumma tyttö tuvassansa, katseli yöhön pimeään, kuuli tuulen huudon, lähti laivaan harmaaseen"),
        ("hu", "a sötét lány várt a házban, kinézett az ablakon, hallotta a szelet, és egy csónakot keresett a parton"),
        ("ro", "fata aștepta în casa mică, se uita pe fereastră, auzea vântul și căuta barca veche a tatălui ei"),
        ("sk", "tmavé dievča čakalo doma, pozeralo sa z okna von, počulo vietor volať, hľadalo svoju starú loďku"),
        ("en", "a girl waits by the water, beholds the dark hill, calls a name to nobody, old boats answer her"),
        ("cs", "tmavá dívka čekala doma, dívala se oknem ven, slyšela vítr volat, hledala svoji starou loďku"),
    ],
)
def test_verse_with_few_function_words(code: str, text: str) -> None:
    assert detect_language(text) == code


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("uk", "Темна дівчина чекала вдома і дивилася у вікно на її човен."),
        ("bg", "Тъмното момиче чакаше вкъщи и гледаше през прозореца лодката си, която беше стара."),
        ("sr", "Девојка је ћутала и чекала код куће, а вођа је дошао."),
        ("ru", "Дѣвушка ждала дома и глядѣла въ окно на лодку, объ которой говорили."),
        ("ur", "لڑکی گھر میں انتظار کر رہی تھی اور کھڑکی سے باہر دیکھ رہی تھی"),
        ("hi", "लड़की घर में इंतज़ार कर रही थी।"),
        ("th", "หญิงสาวรออยู่ที่บ้าน"),
        ("ka", "გოგონა სახლში ელოდა."),
        ("hy", "Աղջիկը տանը սպասում էր։"),
    ],
)
def test_languages_of_other_scripts(code: str, text: str) -> None:
    assert detect_language(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "Merched tywyll yn aros yn y tŷ, yn edrych drwy'r ffenestr ar y cwch ac yn clywed y gwynt yn galw enw.",
        "Neska iluna etxean zain zegoen, leihotik begira, haizea entzuten, bere txalupa zaharraren bila.",
        "La malhela knabino atendis hejme, rigardis tra la fenestro, aŭdis la venton kaj serĉis sian boaton.",
    ],
)
def test_a_language_without_lists_is_not_taken_for_a_neighbour(text: str) -> None:
    assert detect_language(text * 3) == "und"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Où ?", 1),
        ("He said so.", 3),
        ("— Yes!", 1),
        ("船在河上。", 4),
        ("It’s o’clock", 2),
        ("ไป", 2),
        ("", 0),
        ("1 + 1", 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert count_words(text) == words


@pytest.mark.parametrize("text", ["", "1234 !!", "Hello", "zxcv qwer tyui asdf ghjk " * 20])
def test_unknown(text: str) -> None:
    assert detect_language(text) == "und"


def test_foreign_head_and_foot_do_not_decide() -> None:
    head = SAMPLES["en"] * 300
    assert detect_language(head + SAMPLES["fr"] * 3000 + head) == "fr"


def test_the_tables_of_languages_are_whole() -> None:
    assert all(set(roles) == set(ROLES) for roles in connectives().values())
    assert all("" not in phrases for roles in connectives().values() for phrases in roles.values())
    sentences = [word_lists(name).keys() for name in ("titles", "may_end", "numbered", "starters")]
    assert all(languages == sentences[0] for languages in sentences)
    assert word_lists("subordinators").keys() == connectives().keys()


def test_words_of_each_kind() -> None:
    text = "Don't go—L'homme 'tis x2 naïve\u00ad‑ly 東京 नमस्ते"
    assert split_words(text) == ["dont", "go", "lhomme", "tis", "x2", "naïve", "ly", "東", "京", "नमस्ते"]
    assert spelled_words(text) == ["don't", "go", "l'homme", "tis", "x2", "naïve", "ly", "東", "京", "नमस्ते"]
    assert PRINTED_WORD.findall("Don't go—he 東京!") == ["Don't", "go—he", "東", "京", "!"]
    assert LETTER_RUN.findall("l'homme x2") == ["l", "homme", "x"]
    assert LONG_LETTER_RUN.findall("l'homme x2") == ["homme"]
    assert HYPHENATED_WORD.findall("well-known, post-") == ["well-known", "post"]
