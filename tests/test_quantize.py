"""Int8 linear layers: close to the layer they replace, saved and loaded, and trained through their scales alone."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import descend as dd
from descend.errors import InvalidValue
from descend.quantize import Int8Linear, quantize_int8


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 10, bias=False)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_answer_is_that_of_the_rounded_weight(dtype: torch.dtype) -> None:
    layer = nn.Linear(300, 50)
    with torch.no_grad():
        layer.weight.copy_(seeded(50, 300) * torch.logspace(-3, 2, 50)[:, None])
        layer.weight[7] = 0
    layer = layer.to(dtype)
    made = Int8Linear(layer.weight, layer.bias)
    step = layer.weight.detach().float().abs().amax(1, keepdim=True) / 127
    error = (made.weight - layer.weight.float()).abs()
    assert (error <= 0.501 * step).all()
    assert error.max() > 0.4 * step.max()  # it is rounded, not kept
    x = seeded(8, 3, 300).to(dtype)
    answer = made(x)
    assert answer.dtype == dtype
    assert answer.shape == (8, 3, 50)
    expected = F.linear(x.double(), made.weight.double(), layer.bias.double())
    tolerance = 8 * torch.finfo(dtype).eps
    assert ((answer.double() - expected).abs() / (1 + expected.abs().amax((0, 1)))).max() < tolerance
    assert (answer[..., 7] == layer.bias[7]).all()
    assert made.scale[7] == 1  # not 0, by which the row was divided


def test_a_network_answers_nearly_as_before_in_a_quarter_of_the_memory() -> None:
    model = network()
    x, before = seeded(50, 64), sum(p.numel() * 4 for p in model.parameters())
    expected = model(x)
    assert quantize_int8(model) is model
    assert ((model(x) - expected).norm() / expected.norm()).item() < 0.01
    after = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    assert after < 0.25 * before + 4 * (96 * 2 + 10)
    assert {name for name, _ in model.named_parameters()} == {"0.scale", "0.bias", "2.scale"}


def test_large_weights_are_used_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = Int8Linear(seeded(50, 30), None), seeded(4, 30)
    whole = layer(x)
    monkeypatch.setattr("descend.quantize._PART", 200)
    torch.testing.assert_close(layer(x), whole)


def test_float16_does_not_overflow() -> None:
    layer = Int8Linear(torch.full((1, 4096), 1e-3), None)
    assert layer(torch.ones(4096, dtype=torch.float16)).item() == pytest.approx(4.096, rel=1e-2)


def test_under_autocast_the_type_is_that_of_a_linear_layer() -> None:
    model = network()
    x = seeded(2, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert quantize_int8(model)[0](x).dtype == torch.bfloat16  # type: ignore[index]


def test_state_is_saved_and_loaded() -> None:
    model = quantize_int8(network())
    torch.manual_seed(1)
    other = quantize_int8(nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 10, bias=False)))
    x = seeded(5, 64)
    assert not torch.equal(model(x), other(x))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))
    assert model.state_dict()["0.codes"].dtype == torch.int8


class Shared(nn.Module):
    """A tied output embedding, a layer under two names, and a subclass."""

    class Special(nn.Linear):
        pass

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.a = self.b = nn.Linear(5, 5)
        self.special = self.Special(5, 5)
        self.inner = nn.ModuleDict({"left": nn.Linear(5, 5), "made": nn.Linear(5, 5)})


def test_what_is_replaced_and_what_is_left() -> None:
    model = Shared()
    model.inner["made"].weight.requires_grad_(False)
    quantize_int8(model, skip=["inner.left"])
    assert type(model.head) is nn.Linear
    assert model.a is model.b
    assert type(model.a) is Int8Linear
    assert type(model.special) is Shared.Special
    assert type(model.inner["left"]) is nn.Linear
    assert type(model.inner["made"]) is Int8Linear
    assert not model.inner["made"].scale.requires_grad  # type: ignore[union-attr]
    assert model.inner["made"].bias.requires_grad  # type: ignore[union-attr]
    assert type(quantize_int8(nn.Linear(2, 2))) is Int8Linear
    kept = Shared()
    quantize_int8(kept, skip=["b"])
    assert type(kept.a) is nn.Linear
    with pytest.raises(InvalidValue, match="'lm_head'"):
        quantize_int8(network(), skip=["lm_head"])


def test_torchs_encoder_layer_and_hugging_face_conv1d() -> None:
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    for model, x in (
        (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), seeded(2, 5, 16)),
        (nn.Sequential(Conv1D(24, 16)), seeded(3, 16)),
    ):
        with torch.no_grad():
            expected = model(x)
            quantize_int8(model)
            assert any(type(module) is Int8Linear for module in model.modules())
            assert ((model(x) - expected).norm() / expected.norm()).item() < 0.02


def test_scales_alone_are_trained_by_forward_passes() -> None:
    model = quantize_int8(network())
    x, labels = seeded(128, 64), torch.arange(128) % 10
    frozen = copy.deepcopy({n: t for n, t in model.state_dict().items() if not n.endswith("scale")})
    scales = [p for name, p in model.named_parameters() if name.endswith("scale")]
    optimizer = dd.Optimizer(scales, dd.SPSA(radius=1e-3), lr=0.05, key=0)

    def loss() -> Tensor:
        return F.cross_entropy(model(x), labels)

    with torch.no_grad():
        before = loss().item()
        for _ in range(400):
            optimizer.step(loss)
        after = loss().item()
    assert after < before - 0.2
    assert all(torch.equal(model.state_dict()[n], t) for n, t in frozen.items())


def test_the_perturbed_forward_reaches_the_scales() -> None:
    report = dd.check_forward(quantize_int8(network()), seeded(5, 64))
    assert report.passed, report
    assert report.together
