"""Adapters of peft are trained unmodified: they move, and what they are attached to does not, not by one bit."""

import sys
from pathlib import Path

import peft
import pytest
import torch
import transformers

from descend.estimate import SPSA
from descend.hf import ForwardOnly
from descend.torch_optim import Optimizer
from descend.transform import Adam

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from tiny import SENTENCES, batch_of, loss_on, model, snapshot, state_equal


class Trainer(ForwardOnly, transformers.Trainer):
    pass


# peft asks transformers for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(level)


def adapted() -> peft.PeftModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=4, target_modules=["query", "value", "dense"])
        return peft.get_peft_model(model(), config)


def frozen_part(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters() if not p.requires_grad}


def optimizer(network: torch.nn.Module) -> Optimizer:
    return Optimizer(network, SPSA(radius=1e-2, samples=8), Adam(), lr=0.1, key=0)


def test_a_closure_trains_the_adapter_alone():
    network = adapted()
    own = optimizer(network)
    assert all("lora_" in name or "modules_to_save" in name for name in own.parameters.layout.names)
    assert own.parameters.size < sum(p.numel() for p in network.parameters()) / 2
    frozen, before, batch = frozen_part(network), loss_on(network), batch_of(SENTENCES)
    for _ in range(30):
        own.step(lambda: network(**batch).loss)
    assert before > 0.7
    assert loss_on(network) < 0.45
    assert state_equal(frozen, frozen_part(network))
    assert all(p.grad is None for p in network.parameters())


def test_merged_the_adapter_has_the_loss_it_was_trained_to():
    network = adapted()
    own, batch = optimizer(network), batch_of(SENTENCES)
    for _ in range(3):
        own.step(lambda: network(**batch).loss)
    trained = loss_on(network)
    assert loss_on(network.merge_and_unload()) == pytest.approx(trained, rel=1e-5)


def test_the_trainer_trains_saves_and_resumes_the_adapter(tmp_path):
    def run(folder, resume=None):
        network = adapted()
        frozen = frozen_part(network)
        arguments = transformers.TrainingArguments(
            str(tmp_path / folder),
            max_steps=6,
            save_steps=3,
            seed=1,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        runner = Trainer(network, arguments, train_dataset=SENTENCES, optimizers=(optimizer(network), None))
        runner.train(resume_from_checkpoint=resume)
        assert state_equal(frozen, frozen_part(network))
        assert all(p.grad is None for p in network.parameters())
        return network

    whole = run("whole")
    saved = tmp_path / "whole" / "checkpoint-3"
    assert (saved / "adapter_model.safetensors").exists()  # and no copy of the model
    assert not (saved / "model.safetensors").exists()
    assert state_equal(snapshot(whole), snapshot(run("rest", str(saved))))
