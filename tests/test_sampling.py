"""Drawing tokens, filling masks, writing text."""

import pytest
import torch

from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.diffusion import MASK_ID
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.denoise import denoise
from tiny_diffusion.sampling.draw import draw, restrict
from tiny_diffusion.sampling.writer import Writer


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
    kept = lambda **how: restrict(logits, **{"allowed": 4, "top_k": 0, "top_p": 1.0, **how}).isfinite().tolist()[0]  # noqa: E731
    assert kept() == [True] * 4
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.75) == [True, True, False, False]
    assert kept(top_p=0.81) == [True, True, True, False]
    assert kept(allowed=3) == [True, True, True, False]


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig.smoke(), 16 + 512, 16)


@pytest.mark.parametrize("sampler", ["ancestral", "first_hitting", "confidence"])
@pytest.mark.parametrize("steps", [1, 7, 64])
def test_every_mask_is_filled_and_fixed_tokens_stay(model: Transformer, sampler: str, steps: int) -> None:
    # Raised reserved logits must not matter: a MASK that can win the draw stays for ever.
    ids = torch.randint(16, 528, (3, 40), generator=generator())
    gaps = torch.rand(3, 40, generator=generator(5)) < 0.5
    rows = ids.masked_fill(gaps, MASK_ID)
    settings = GenerationConfig(sampler=sampler, steps=steps)  # type: ignore[arg-type]
    states = list(denoise(model, rows, settings, generator(), 512))
    assert [s.step for s in states] == list(range(1, steps + 1))
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
    settings = GenerationConfig(length=20, steps=5, num_samples=3, seed=4)
    texts = writer.write("The old miller", settings)
    assert len(texts) == 3 and len(set(texts)) > 1
    assert all(text.startswith("The old miller") for text in texts)
    assert writer.write("The old miller", settings) == texts
    assert writer.write("The old miller", settings.model_copy(update={"seed": 5})) != texts


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("length", [1, 20, 31, 32, 33, 100])
def test_length_is_honoured_beyond_the_context(writer: Writer, length: int, cached: bool) -> None:
    prompt = writer.tokenizer.encode("The old", 1)
    *_, last = writer.states("The old", GenerationConfig(length=length, steps=3, cache_context=cached))
    assert last.shape == (1, len(prompt) + length)
    assert last[0, : len(prompt)].tolist() == prompt
    assert (last >= NUM_RESERVED).all()


def test_a_prompt_beyond_the_context_is_refused(writer: Writer) -> None:
    with pytest.raises(UserError, match="context"):
        writer.write("The old miller mended the window. " * 20, GenerationConfig())


def test_infilling_keeps_the_text_around_the_gaps(writer: Writer) -> None:
    text = writer.infill("The ___ miller sold the ____ garden.", GenerationConfig(steps=4))[0]
    assert text.startswith("The") and " miller sold the" in text and text.endswith(" garden.")
    with pytest.raises(UserError, match="no gap"):
        writer.infill("The miller.", GenerationConfig())
