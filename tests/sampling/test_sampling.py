"""Drawing tokens, filling masks, writing text."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tiny_diffusion
from tiny_diffusion.checkpoint import Checkpoint, save_checkpoint
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import MASK_ID, Transformer
from tiny_diffusion.sampling.denoise import denoise
from tiny_diffusion.sampling.draw import draw, forbid, restrict
from tiny_diffusion.writing.writer import Writer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_frequencies_match_a_known_distribution_down_to_rare_tokens() -> None:
    p = torch.tensor([0.6, 0.3, 0.09, 0.009, 0.001])
    n = 200_000
    tokens, chances = draw(p.log().expand(n, -1), generator())
    counts = torch.bincount(tokens, minlength=5).double()
    chi2 = float(((counts - n * p) ** 2 / (n * p)).sum())
    assert chi2 < 4 + 5 * 8**0.5
    assert torch.allclose(chances, p[tokens], rtol=1e-5)


def test_rare_tokens_of_a_large_vocabulary_keep_their_probability() -> None:
    # float32 Gumbel noise fails this: its maximum over 25,000 tokens is cut off (docs: Zheng et al. 2024).
    logits = torch.randn(25_000, generator=generator(1)) * 2
    log_p = logits.double().log_softmax(0)
    tokens, _ = draw(logits.expand(4000, -1), generator(2))
    surprise = -log_p[tokens]
    entropy = float(-(log_p.exp() * log_p).sum())
    assert abs(float(surprise.mean()) - entropy) < 4 * float(surprise.std()) / 4000**0.5


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]).expand(20_000, -1)
    assert set(draw(logits, generator())[0].tolist()) == {1, 3}


def test_restrict_keeps_the_likeliest() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = lambda **how: restrict(logits, **{"top_k": 0, "top_p": 1.0, **how}).isfinite().tolist()[0]  # noqa: E731
    assert kept() == [True] * 4
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.75) == [True, True, False, False]
    assert kept(top_p=0.81) == [True, True, True, False]
    assert forbid(logits, 3).isfinite().tolist()[0] == [True, True, True, False]


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig.smoke(), 16 + 512, 16)


@pytest.mark.parametrize("sampler", ["ancestral", "first_hitting", "confidence"])
@pytest.mark.parametrize("steps", [1, 7, 64])
def test_every_mask_is_filled_and_fixed_tokens_stay(model: Transformer, sampler: str, steps: int) -> None:
    # Raised logits of reserved tokens must not matter: a MASK that can be drawn would stay for ever.
    ids = torch.randint(16, 528, (3, 40), generator=generator())
    gaps = torch.rand(3, 40, generator=generator(5)) < 0.5
    rows = ids.masked_fill(gaps, MASK_ID)
    settings = GenerationConfig(sampler=sampler, steps=steps)  # type: ignore[arg-type]
    states = list(denoise(model, rows, settings, generator(), 512))
    # Only samplers that follow the forward process take more steps than tokens.
    taken = steps if sampler == "ancestral" else min(steps, int(gaps.sum(1).max()))
    assert [s.step for s in states] == list(range(1, taken + 1))
    final = states[-1].ids
    assert (final >= NUM_RESERVED).all()
    assert torch.equal(final[~gaps], ids[~gaps])
    for before, after in zip(states, states[1:], strict=False):
        settled = before.ids != MASK_ID
        assert torch.equal(before.ids[settled], after.ids[settled])


@pytest.mark.parametrize("sampler", ["first_hitting", "confidence"])
def test_an_equal_share_is_settled_each_step(model: Transformer, sampler: str) -> None:
    rows = torch.full((2, 40), MASK_ID)
    settings = GenerationConfig(sampler=sampler, steps=8)  # type: ignore[arg-type]
    left = [int((s.ids[0] == MASK_ID).sum()) for s in denoise(model, rows, settings, generator(), 512)]
    assert left == [35, 30, 25, 20, 15, 10, 5, 0]


def test_the_number_of_steps_matters(model: Transformer) -> None:
    rows = torch.full((1, 40), MASK_ID)
    one, many = (list(denoise(model, rows, GenerationConfig(steps=n), generator(), 512))[-1].ids for n in (1, 20))
    assert not torch.equal(one, many)


def test_only_allowed_tokens_are_written(model: Transformer) -> None:
    rows = torch.full((4, 60), MASK_ID)
    *_, last = denoise(model, rows, GenerationConfig(temperature=5.0, top_p=1.0), generator(), 40)
    assert int(last.ids.max()) < NUM_RESERVED + 40


@pytest.fixture(scope="module")
def writer(config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
    return Writer(Transformer(config.model, vocab, NUM_RESERVED), data.tokenizer)


def test_writing_goes_on_from_the_prompt_and_repeats_by_seed(writer: Writer) -> None:
    settings = GenerationConfig(length=20, steps=5, num_samples=3, seed=4, ending="token")
    texts = writer.write("The old miller", settings)
    assert len(texts) == 3 and len({text.text for text in texts}) > 1
    for text in texts:
        assert text.text.startswith("The old miller") and text.text == writer.tokenizer.decode(list(text.ids))
        assert text.given.count(False) == 20 and len(text.ids) == len(text.given) == len(text.confidence)
        assert all((c == 1) if g else 0 < c <= 1 for c, g in zip(text.confidence, text.given, strict=True))
    assert writer.write("The old miller", settings) == texts
    assert writer.write("The old miller", settings.model_copy(update={"seed": 5})) != texts


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("length", [1, 20, 31, 32, 33, 100])
def test_length_is_honoured_beyond_the_context(writer: Writer, length: int, cached: bool) -> None:
    prompt = writer.tokenizer.encode("The old", 1)
    [text] = writer.write(
        "The old", GenerationConfig(length=length, sampler="ancestral", steps=3, cache_context=cached).as_drawn()
    )
    assert len(text.ids) == len(prompt) + length and list(text.ids[: len(prompt)]) == prompt
    assert min(text.ids) >= NUM_RESERVED and text.steps % 3 == 0


def test_infilling_keeps_the_text_around_the_gaps(writer: Writer) -> None:
    text = writer.infill("The ___ miller sold the ____ garden.", GenerationConfig(steps=4))[0].text
    assert text.startswith("The") and " miller sold the" in text and text.endswith(" garden.")
    with pytest.raises(UserError, match="no gap"):
        writer.infill("The miller.", GenerationConfig())


def test_the_package_gives_its_writer_and_loads_nothing_before(
    tmp_path: Path, writer: Writer, config: ProjectConfig
) -> None:
    save_checkpoint(tmp_path / "model.pt", Checkpoint(config, writer.tokenizer, writer.model.state_dict()))
    code = (
        "import sys, tiny_diffusion; light = 'torch' not in sys.modules; from tiny_diffusion import Writer;"
        "from tiny_diffusion.config import GenerationConfig;"
        "text = Writer.load(sys.argv[1], 'cpu').write('The', GenerationConfig(length=4, steps=2, ending='token'))[0];"
        "print(light, text.given)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "model.pt"], capture_output=True, text=True)
    assert done.stdout.startswith("True (True,") and done.stdout.count("False") == 4, done.stderr
    with pytest.raises(AttributeError, match="Writter"):
        tiny_diffusion.Writter  # noqa: B018
