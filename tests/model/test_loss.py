"""The loss of the head, with and without teachers, against cross-entropy and plain sums; who sees whom."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tiny_diffusion.model.loss import GRAIN, HEAD_ROWS, Lesson, head_loss, same_document


@pytest.mark.parametrize("count", [0, 1, 7, 2 * HEAD_ROWS["cpu"] + 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reserved", [0, 2])
def test_it_is_cross_entropy(count: int, smoothing: float, weighted: bool, reserved: int) -> None:
    generator = torch.Generator().manual_seed(count)
    hidden = torch.randn(count, 5, generator=generator, dtype=torch.double, requires_grad=True)
    table = torch.randn(reserved + 11, 5, generator=generator, dtype=torch.double, requires_grad=True)
    targets = torch.randint(0, 11, (count,), generator=generator)
    weights = torch.rand(count, generator=generator) if weighted else None
    plain = F.cross_entropy(hidden @ table[reserved:].T, targets, reduction="none", label_smoothing=smoothing)
    plain = (plain if weights is None else plain * weights).sum()
    expected = torch.autograd.grad(3 * plain, (hidden, table))
    loss = head_loss(hidden, table, targets, weights=weights, smoothing=smoothing, reserved=reserved)
    torch.testing.assert_close(loss, plain)
    for ours, theirs in zip(torch.autograd.grad(3 * loss, (hidden, table)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_under_autocast_it_is_near_and_keeps_the_types_of_its_inputs() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(40, 16, generator=generator, requires_grad=True)
    table = (torch.randn(30, 16, generator=generator) / 4).requires_grad_()
    targets = torch.randint(0, 30, (40,), generator=generator)
    plain = F.cross_entropy(hidden @ table.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain, (hidden, table))
    with torch.autocast("cpu", torch.bfloat16):
        loss = head_loss(hidden, table, targets)
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(plain), rel=0.01)
    for ours, theirs in zip(torch.autograd.grad(loss, (hidden, table)), expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_teachers_have_their_share_of_each_target(share: float) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    hidden, table = draw(3, 4).requires_grad_(), draw(2 + 5, 4).requires_grad_()
    targets, weights = torch.tensor([4, 0, 2]), torch.tensor([1.0, 2.0, 0.5])
    lesson = Lesson((draw(3, 2), draw(3, 6)), (draw(5, 2), draw(5, 6)), share)
    found = head_loss(hidden, table, targets, weights=weights, smoothing=0.2, reserved=2, lesson=lesson)

    def law(state: torch.Tensor, rows: torch.Tensor) -> list[float]:
        powers = [math.exp(sum(a * b for a, b in zip(state.tolist(), row.tolist(), strict=True))) for row in rows]
        return [power / sum(powers) for power in powers]

    expected = 0.0
    for place in range(3):
        own = law(hidden[place], table[2:])
        pairs = zip(lesson.states, lesson.tables, strict=True)
        taught = [sum(both) / 2 for both in zip(*(law(state[place], rows) for state, rows in pairs), strict=True)]
        for word in range(5):
            token = 0.8 * (word == targets[place].item()) + 0.2 / 5
            target = (1 - share) * token + share * taught[word]
            expected -= weights[place].item() * target * math.log(own[word])
    assert found.item() == pytest.approx(expected, rel=1e-12)
    torch.autograd.gradcheck(
        lambda h, t: head_loss(h, t, targets, weights=weights, smoothing=0.2, reserved=2, lesson=lesson),
        (hidden, table),
    )


def test_laws_of_many_places_are_those_of_each_piece() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 2 * HEAD_ROWS["cpu"] + 3
    hidden, table = torch.randn(count, 5, generator=generator), torch.randn(11, 5, generator=generator)
    lesson = Lesson((torch.randn(count, 3, generator=generator),), (torch.randn(11, 3, generator=generator),), 0.5)
    targets = torch.randint(0, 11, (count,), generator=generator)
    law = (lesson.states[0] @ lesson.tables[0].T).softmax(1)
    mixed = 0.5 * F.one_hot(targets, 11) + 0.5 * law
    expected = F.cross_entropy(hidden @ table.T, mixed, reduction="sum")
    torch.testing.assert_close(head_loss(hidden, table, targets, lesson=lesson), expected)


class ProductSizes(TorchDispatchMode):
    """The sizes of all products of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204  # torch's own signature
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_):
            self.found.add(tuple(arg.shape for arg in args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_number_of_places_needs_few_sizes_of_products(dtype: torch.dtype) -> None:
    """The library of products keeps code for each size: 0.4 GB in a training whose every step has another number."""
    table, own_table = torch.randn(11, 5), torch.randn(11, 3)
    with ProductSizes() as sizes, torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        for count in range(1, 2 * HEAD_ROWS["cpu"], 7):
            lesson = Lesson((torch.randn(count, 3),), (own_table,), 0.5)
            head_loss(torch.randn(count, 5), table, torch.zeros(count, dtype=torch.long), lesson=lesson)
    assert 0 < len(sizes.found) <= 4 * HEAD_ROWS["cpu"] / GRAIN  # the head's logits, its two gradients, the teacher's


def test_attention_stays_within_a_document() -> None:
    documents, cpu = torch.tensor([[1, 1, 2, 2, 0], [1, 1, 1, 1, 1]]), torch.device("cpu")
    allowed = same_document(documents, cpu)
    assert allowed is not None and allowed.shape == (2, 1, 5, 5)
    for row, i, j in itertools.product(range(2), range(5), range(5)):
        assert bool(allowed[row, 0, i, j]) == (int(documents[row, i]) == int(documents[row, j]))
    assert same_document(documents[1:], cpu) is None and same_document(None, cpu) is None
