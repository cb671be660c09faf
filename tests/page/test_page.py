"""The page's routes: what they answer, what they refuse, and who may ask. Nothing here opens a browser."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the page needs the extra [app]")

from starlette.testclient import TestClient

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.evaluation.blind_test.records import BlindPassage, Origin
from tiny_diffusion.evaluation.blind_test.store import AnswerStore
from tiny_diffusion.page.app import make_app

from ..cli.running import run

HOME = "http://127.0.0.1:8765"
Client = Callable[..., TestClient]


@pytest.fixture
def client(make_page: Callable[..., Any]) -> Iterator[TestClient]:
    with TestClient(make_app(make_page()), base_url=HOME) as found:
        yield found


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, without the beats in between."""
    parts = [part.split("\n") for part in text.split("\n\n") if part and not part.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def write(client: TestClient, **wish: Any) -> list[tuple[str, Any]]:
    wish["settings"] = {"length": 12, "seed": 1} | wish.get("settings", {})
    answer = client.post("/api/write", json=wish)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
    return events(answer.text)


def drafts(found: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [data for name, data in found if name == "draft"]


def replayed(found: list[tuple[str, Any]], draft: int) -> list[list[list[Any]]]:
    """The pieces of each moment of a draft, by the changes that the stream holds."""
    moments: list[list[list[Any]]] = []
    for name, data in found:
        if name == "frame" and data["draft"] == draft:
            pieces = data.get("pieces") or list(moments[-1])
            for place, text, sure in data.get("changes", []):
                pieces[place] = [text, sure]
            moments.append(pieces)
    return moments


def test_it_continues_word_by_word(client: TestClient) -> None:
    found = write(client, task="continue", text="The old miller   ")
    names = [name for name, _ in found]
    assert names[0] == "start" and names[-2:] == ["draft", "done"]
    [draft] = drafts(found)
    moments = replayed(found, 0)
    given = [text for text, sure in moments[0] if sure is None and text is not None]
    assert "".join(given) == "The old miller"  # a token begins with its space
    hidden = [sum(text is None for text, _ in moment) for moment in moments]
    assert hidden[0] >= 12 and hidden[-1] == 0
    assert len(moments) > 12 and "".join(text for text, _ in draft["pieces"]) == draft["text"]
    assert draft["text"].startswith("The old miller") and len(draft["text"]) > len("The old miller")
    assert all(sure is None or 0 <= sure <= 1 for _, sure in draft["pieces"])
    assert len(draft["film"]) > 12 and draft["longest_copied_words"] is not None


def test_the_same_seed_writes_the_same(client: TestClient) -> None:
    texts = [drafts(write(client, task="continue", text="The", settings={"seed": s}))[0]["text"] for s in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_counts_of_the_book_write_beside_the_network(client: TestClient) -> None:
    [shown, _] = client.get("/api/start").json()["checkpoints"]
    assert shown["has_book"] and shown["settings"]["expert"] == "none"
    alone, both = (drafts(write(client, task="continue", text="", settings={"expert": e})) for e in ("none", "ngram"))
    assert alone[0]["text"] != both[0]["text"]


def test_only_the_end_of_a_long_text_is_read(client: TestClient) -> None:
    text = "é " + "The old miller carried the quiet letter of Karenbel. " * 12
    found = write(client, task="continue", text=text)
    [(_, start), *_] = found
    [draft] = drafts(found)
    assert 0 < start["head"] < len(text) and start["tail"] == 0
    kept = text.rstrip(" ")[start["head"] :]
    assert draft["text"].startswith(kept) and text[start["head"] - 1].isspace()
    assert len(kept) < 150  # half of a context of 32 tokens


def test_it_fills_gaps_and_keeps_the_rest(client: TestClient) -> None:
    found = write(client, task="fill", text="The {1 word} sailor ____ the lantern.")
    [draft] = drafts(found)
    assert draft["text"].startswith("The ") and draft["text"].endswith(" the lantern.") and " sailor " in draft["text"]
    assert "{" not in draft["text"] and "__" not in draft["text"]


def test_it_rewrites_a_passage_and_keeps_the_rest(client: TestClient) -> None:
    text = "Ünder {all} the old miller carried the lantern. It was_late."
    start, end = text.index("the old"), text.index(" It")
    found = write(client, task="rewrite", text=text, start=start, end=end, settings={"rewrite_strength": 1.0})
    [draft] = drafts(found)
    assert draft["text"].startswith(text[:start]) and draft["text"].endswith(text[end:])
    assert draft["text"] != text


def test_drafts_come_side_by_side(client: TestClient) -> None:
    found = write(client, task="continue", text="The", settings={"num_samples": 3})
    assert [draft["draft"] for draft in drafts(found)] == [0, 1, 2]
    assert len({draft["text"] for draft in drafts(found)}) == 3
    assert all(len(replayed(found, number)) > 5 for number in range(3))


def test_checkpoints_differ(client: TestClient) -> None:
    about = client.get("/api/start").json()["checkpoints"]
    assert [(c["name"], c["book"], c["has_book"]) for c in about] == [
        (n, "book.txt", True) for n in ("first", "second")
    ]
    assert about[0]["readings"] == ["masked", "causal", "drafts"]
    texts = {drafts(write(client, task="continue", text="The", model=model))[0]["text"] for model in (0, 1)}
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"task": "continue", "text": "a", "settings": {"length": 401}}, "page.most_tokens"),
        ({"task": "continue", "text": "a", "settings": {"num_samples": 5}}, "page.most_drafts"),
        ({"task": "continue", "text": "a", "settings": {"steps": 10_000}}, "steps"),
        ({"task": "continue", "text": "a", "settings": {"gap_candidates": 99}}, "does not set gap_candidates"),
        ({"task": "continue", "text": "a", "settings": {"temperature": -1}}, "temperature"),
        ({"task": "continue", "text": "a", "settings": {"dialogue": "loud"}}, "dialogue"),
        ({"task": "continue", "text": "a", "model": 7}, "no checkpoint number 7"),
        ({"task": "fill", "text": "no gap"}, "no gap"),
        ({"task": "fill", "text": "a {gap"}, "never closed"),
        ({"task": "rewrite", "text": "a]] b", "start": 4, "end": 5}, "]]"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_in_the_stream(client: TestClient, wish: dict[str, Any], said: str) -> None:
    answer = client.post("/api/write", json=wish)
    assert answer.status_code == 200
    [(name, data)] = events(answer.text)
    assert name == "failed" and said in data["message"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"no json", 400, "no JSON"),
        (b"[1]", 400, "object"),
        (b'{"task": "train", "text": "a"}', 400, "task"),
        (b'{"task": "continue", "text": "a", "file": "/etc/passwd"}', 400, "file"),
        (b'{"task": "continue", "text": "\\ud800"}', 400, "surrogate"),
        (b'{"task": "rewrite", "text": "abc", "start": 2, "end": 9}', 400, "passage"),
        (json.dumps({"task": "continue", "text": "a" * 20_001}).encode(), 400, "20,001 characters"),
        (b'{"task": "continue", "text": "' + b"a" * 200_000 + b'"}', 413, "bytes"),
        (b"[" * 100_000, 400, "no JSON"),
    ],
)
def test_a_wrong_body_is_refused(client: TestClient, body: bytes, status: int, said: str) -> None:
    answer = client.post("/api/write", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status and said in answer.json()["message"]


def test_surprise_and_copies(client: TestClient, data: Processed) -> None:
    sentence = data.texts("train")[0].split(".")[0]
    text = f"Zebra ☃ quux. {sentence}."
    *_, (name, found), (last, _) = events(client.post("/api/surprise", json={"text": text}).text)
    assert (name, last) == ("words", "done")
    assert "".join(word for word, _ in found["words"]) == text and found["bits_per_byte"] > 0
    [run] = client.post("/api/copies", json={"text": text}).json()["copied"]
    assert text[run["start"] : run["end"]] == sentence and run["place"] == 0 and sentence in run["excerpt"]
    last_passage = data.texts("train")[-1].split(".")[0]
    [run] = client.post("/api/copies", json={"text": last_passage}).json()["copied"]
    assert 0.8 < run["place"] < 1


def test_a_long_stretch_without_spaces_is_refused(client: TestClient) -> None:
    answer = client.post("/api/copies", json={"text": "a" * 19_000})
    assert answer.status_code == 400 and "without a space" in answer.json()["message"]


def test_the_animation_holds_text_as_text(client: TestClient) -> None:
    found = write(client, task="continue", text="</script><b>The</b>")
    [draft] = drafts(found)
    film = {"pieces": draft["pieces"], "frames": draft["film"]}
    page = client.post("/api/animation", json={"films": [film]}).text
    assert "<!DOCTYPE html>" in page and "<b>The" not in page and page.count("</script>") == 2
    film["frames"][0]["changes"] = [[999, 0.5]]
    answer = client.post("/api/animation", json={"films": [film]})
    assert answer.status_code == 400 and "does not have" in answer.json()["message"]
    assert client.post("/api/animation", json={"films": [film] * 5}).status_code == 400


def test_the_page_runs_only_its_own_script(client: TestClient) -> None:
    answers = [client.get("/") for _ in range(2)]
    policies = [answer.headers["content-security-policy"] for answer in answers]
    assert policies[0] != policies[1] and "unsafe" not in policies[0] and "default-src 'none'" in policies[0]
    nonce = policies[0].split("'nonce-")[1].split("'")[0]
    assert answers[0].text.count("<script") == answers[0].text.count(f'nonce="{nonce}"') == 1
    for word in ("onclick", "style=", "http://", "https://"):
        assert word not in answers[0].text
    for name in ("x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-resource-policy"):
        assert answers[0].headers[name]
    assert "frame-ancestors 'none'" in client.get("/api/start").headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/..%5capp.py", "/static/index.html", "/static//etc/passwd",
     "/runs/../report", "/api/nothing"],
)  # fmt: skip
def test_no_path_leads_to_another_file(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_scripts_write_text_only_as_text() -> None:
    from tiny_diffusion.page.app import STATIC

    sources = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}
    assert len(sources) > 8
    banned = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "new Function")
    assert [(name, word) for name, text in sources.items() for word in banned if word in text] == []


def test_only_this_machine_and_this_site_may_ask(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"host": "localhost:8765"}).status_code == 200
    body = {"task": "continue", "text": "a"}
    assert client.post("/api/write", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/write", json=body, headers={"origin": "null"}).status_code == 403
    assert client.post("/api/copies", json={"text": "a"}, headers={"origin": HOME}).status_code == 200
    assert client.post("/api/write", content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert client.get("/api/write").status_code == 405
    assert client.post("/api/invite", json={}).status_code == 400


def test_a_link_opens_once(make_page: Callable[..., Any]) -> None:
    page = make_page(local=False)
    token = page.door.invite()
    app = make_app(page)
    with TestClient(app, base_url="http://10.0.0.5:8765", follow_redirects=False) as guest:
        assert guest.get("/").status_code == 401
        assert guest.get("/?token=wrong").status_code == 401
        assert guest.get(f"/api/start?token={token}").status_code == 401
        answer = guest.get(f"/?token={token}")
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and token.lower() not in cookie
        assert guest.get("/").status_code == 200
        link = guest.post("/api/invite", json={}).json()["link"]
    other = TestClient(app, base_url="http://10.0.0.5:8765", follow_redirects=False)
    assert other.get(f"/?token={token}").status_code == 401  # used up
    assert other.get(link.partition("8765")[2]).status_code == 303


def test_the_blind_test_shares_its_store(client: TestClient, make_page: Callable[..., Any], tmp_path: Path) -> None:
    about = client.get("/api/blind").json()
    assert not about["begun"] and about["command"].startswith("tiny-diffusion blind-test --rater NAME --checkpoint")
    assert client.get("/api/blind/results").status_code == 400
    passages = [BlindPassage(f"{kind} <b>{n}</b>", kind == "Old") for n in range(2) for kind in ("Old", "New")]
    origin = Origin(
        {"evaluation.seed": 0, "evaluation.blind_passages": 4, "evaluation.blind_words": 2},
        "best_model.pt", "0" * 64, "book.txt", "1" * 64, "2030-01-01",
    )  # fmt: skip
    store = AnswerStore.create(tmp_path / "blind.sqlite", origin, passages)
    state = client.post("/api/blind/join", json={"rater": " anna ", "rates": False}).json()
    seen = []
    while "question" in state:
        question = state["question"]
        assert "real" not in {*question} and question["ask"] == "verdict"
        seen.append(question["text"])
        judgement = {"rater": "anna", "position": question["position"], "ask": "verdict"}
        assert client.post("/api/blind/judge", json={**judgement, "value": "perhaps"}).status_code == 400
        if len(seen) == 2:
            assert client.post("/api/blind/undo", json={"rater": "anna"}).json()["question"]["position"] == 1
            client.post("/api/blind/judge", json={**judgement, "position": 1, "value": "real"})
        state = client.post("/api/blind/judge", json={**judgement, "value": "real"}).json()
        again = client.post("/api/blind/judge", json={**judgement, "value": "real"})
        assert again.status_code == 400
    assert sorted(seen) == sorted(p.text for p in passages)
    assert state["score"]["right"] == 2 and len(state["wrong"]) == 2
    assert [(p.rater, p.done) for p in store.progress()] == [("anna", 4)]  # the command sees the same answers
    found = client.get("/api/blind/results").json()
    assert found["scores"][0]["accuracy"] == 0.5 and found["told_apart"] is None
    assert client.post("/api/blind/join", json={"rater": ""}).status_code == 400
    stranger = {"rater": "bob", "position": 1, "ask": "verdict", "value": "real"}
    assert client.post("/api/blind/judge", json=stranger).status_code == 400


def test_a_blind_test_begun_on_the_page_is_that_of_the_command(
    client: TestClient, checkpoints: list[Path], prepared: Path, tmp_path: Path
) -> None:
    about = client.get("/api/blind").json()
    assert (about["begun"], about["passages"], about["seed"]) == (False, 20, 0)

    def begin(**wish: int) -> list[tuple[str, Any]]:
        return events(client.post("/api/blind/begin", json={"passages": 4, "seed": 3, **wish}).text)

    for wish, said in (
        ({"passages": 42}, "page.most_passages"), ({"passages": 3}, "blind_passages"),
        ({"seed": -1}, "evaluation.seed"), ({"model": 7}, "no checkpoint number 7"),
    ):  # fmt: skip
        [(name, told)] = begin(**wish)
        assert name == "failed" and said in told["message"]
    assert not client.get("/api/blind").json()["begun"]
    *progress, done = begin(model=1)
    assert progress == [("progress", {"done": n, "total": 2}) for n in (1, 2)] and done == ("done", {})
    answers = (tmp_path / "blind.sqlite", tmp_path / "command.sqlite")
    run(
        tmp_path, "blind-test", "--rater", "anna", "--checkpoint", str(checkpoints[1]), "--data-dir", str(prepared),
        "--passages", "4", "--seed", "3", "--answers", str(answers[1]),
    )  # fmt: skip
    rows = [sqlite3.connect(path).execute("SELECT truth, text FROM passage ORDER BY id").fetchall() for path in answers]
    assert rows[0] == rows[1] and sorted(truth for truth, _ in rows[0]) == ["generated"] * 2 + ["real"] * 2
    stores = [AnswerStore(path) for path in answers]
    assert stores[0].origin == stores[1].origin
    assert "question" in client.post("/api/blind/join", json={"rater": "anna"}).json()
    [(name, told)] = begin(seed=4)
    assert name == "failed" and "begun already" in told["message"] and stores[0].progress()[0].total == 4


def test_the_report_is_shut_off_from_the_page(client: TestClient, checkpoints: list[Path]) -> None:
    assert client.get("/runs/1/report").status_code == 404
    (checkpoints[1].parent / "report.html").write_text("<p>a report", encoding="utf-8")
    answer = client.get("/runs/1/report")
    assert answer.text == "<p>a report" and "sandbox" in answer.headers["content-security-policy"]
    assert client.get("/api/runs/9").status_code == 400


def test_a_checkpoint_in_training_is_read_when_it_is_there(
    make_page: Callable[..., Any], checkpoints: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "outputs" / "best_model.pt"
    with TestClient(make_app(make_page(paths=[path])), base_url=HOME) as client:
        [about] = client.get("/api/start").json()["checkpoints"]
        assert "yet" in about["reason"]
        path.parent.mkdir()
        path.write_bytes(checkpoints[0].read_bytes())
        [first] = drafts(write(client, task="continue", text="The"))
        path.write_bytes(checkpoints[1].read_bytes())
        os.utime(path, (1, 1))
        [second] = drafts(write(client, task="continue", text="The"))
    assert first["text"] != second["text"]
