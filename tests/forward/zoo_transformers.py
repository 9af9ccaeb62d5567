"""The zoo's models from `transformers` and `peft`: tiny configs, random weights, nothing is downloaded.

Released models begin with weights near zero, norms at one and biases at zero; then most parameters hardly matter.
Here all are moved by a third, so that a parameter that is missed is a loss that is wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from zoo_exhibit import Exhibit, read

__all__ = ["TRANSFORMERS"]

VOCABULARY, LENGTH = 40, 7
KEYS = r"(key|k_lin|k_proj)\.bias$"  # a softmax does not change when all of its arguments do
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TINY = {**SIZES, "vocab_size": VOCABULARY, "max_position_embeddings": 16, "pad_token_id": 0}


def tokens() -> Tensor:
    return torch.randint(1, VOCABULARY, (3, LENGTH))


def classified() -> dict[str, Any]:
    """A padded batch of labelled sequences."""
    ids, mask = tokens(), torch.ones(3, LENGTH, dtype=torch.long)
    ids[1, 5:], mask[1, 5:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 1])}


def continued() -> dict[str, Any]:
    """A batch for a language model."""
    ids = tokens()
    return {"input_ids": ids, "labels": ids}


def own_loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    return model(**batch).loss


def hidden(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    return read(model(**batch).last_hidden_state)


def encoder(kind: str, attention: str = "sdpa") -> Callable[[], nn.Module]:
    """A BERT-like classifier; dropout stays on."""

    def build() -> nn.Module:
        import transformers as hf

        config = {
            "bert": lambda: hf.BertConfig(**TINY),
            "roberta": lambda: hf.RobertaConfig(**{**TINY, "max_position_embeddings": 24}),
            "distilbert": lambda: hf.DistilBertConfig(
                vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=16
            ),
        }[kind]()
        config._attn_implementation = attention
        return hf.AutoModelForSequenceClassification.from_config(config)

    return build


def gpt2(attention: str = "eager") -> nn.Module:
    """Conv1D layers (addmm with a transposed weight), and a head that is tied to the token embedding."""
    import transformers as hf

    config = hf.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2
    )
    config._attn_implementation = attention
    return hf.GPT2LMHeadModel(config).eval()


def llama() -> nn.Module:
    """RMS norms, rotary positions, grouped queries, a head of its own."""
    import transformers as hf

    return hf.LlamaForCausalLM(hf.LlamaConfig(**TINY, num_key_value_heads=1, tie_word_embeddings=False))


def qwen() -> nn.Module:
    """Biased attention and tied embeddings."""
    import transformers as hf

    return hf.Qwen2ForCausalLM(hf.Qwen2Config(**TINY, num_key_value_heads=1, tie_word_embeddings=True))


def t5() -> nn.Module:
    """An encoder and a decoder with shared embeddings and learned relative positions."""
    import transformers as hf

    config = hf.T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    return hf.T5ForConditionalGeneration(config).eval()


def vit() -> nn.Module:
    """Patches by a convolution, a class token and positions that are parameters of the model itself."""
    import transformers as hf

    return hf.ViTForImageClassification(hf.ViTConfig(**SIZES, image_size=8, patch_size=4, num_labels=3))


def resnet() -> nn.Module:
    """Convolutions and batch norms in training mode, which count their batches and keep running averages."""
    import transformers as hf

    config = hf.ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 12], depths=[1, 2], layer_type="basic", num_labels=3
    )
    return hf.ResNetForImageClassification(config).train()


def mamba() -> nn.Module:
    """A selective scan written in torch: parameters in exponentials, products and a causal convolution."""
    import transformers as hf

    config = hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=16, state_size=4, num_hidden_layers=2, use_cache=False)
    return hf.MambaForCausalLM(config).eval()


def mamba2() -> nn.Module:
    """The chunked scan of Mamba 2."""
    import transformers as hf

    config = hf.Mamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        state_size=4,
        num_hidden_layers=1,
        num_heads=4,
        head_dim=8,
        n_groups=1,
        chunk_size=4,
        use_cache=False,
    )
    return hf.Mamba2ForCausalLM(config).eval()


def mixtral(experts: str) -> Callable[[], nn.Module]:
    """A mixture of experts: which expert sees a token depends on the perturbed router."""

    def build() -> nn.Module:
        import transformers as hf

        config = hf.MixtralConfig(**TINY, num_key_value_heads=1, num_local_experts=3, num_experts_per_tok=2)
        config._experts_implementation = experts
        return hf.MixtralForCausalLM(config).eval()

    return build


def clip() -> nn.Module:
    """Two towers and a learned temperature."""
    import transformers as hf

    text = {**SIZES, "vocab_size": VOCABULARY, "max_position_embeddings": 16, "eos_token_id": VOCABULARY - 1}
    vision = {**SIZES, "image_size": 8, "patch_size": 4}
    return hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()


def whisper() -> nn.Module:
    """One-dimensional convolutions over sound, and a decoder with tied embeddings."""
    import transformers as hf

    config = hf.WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=4,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=8,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return hf.WhisperForConditionalGeneration(config).eval()


def lora(kind: str) -> Callable[[], nn.Module]:
    """A GPT-2 of which only an adapter is trained. Both of its factors are random, so that each of them counts."""

    def build() -> nn.Module:
        import peft

        adapters = {
            "lora": lambda: peft.LoraConfig(
                r=2, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, init_lora_weights=False
            ),
            "dora": lambda: peft.LoraConfig(
                r=2, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False, use_dora=True
            ),
            "ia3": lambda: peft.IA3Config(
                target_modules=["c_attn", "mlp.c_proj"],
                feedforward_modules=["mlp.c_proj"],
                fan_in_fan_out=True,
                init_ia3_weights=False,
            ),
            "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        }
        return peft.get_peft_model(gpt2(), adapters[kind]()).eval()

    return build


def pictures(size: int) -> Callable[[], dict[str, Any]]:
    return lambda: {"pixel_values": torch.randn(3, 3, size, size), "labels": torch.tensor([0, 1, 2])}


def captioned() -> dict[str, Any]:
    ids = tokens()
    ids[:, -1] = VOCABULARY - 1  # the end, where the text is read off
    return {"input_ids": ids, "pixel_values": torch.randn(3, 3, 8, 8), "return_loss": True}


def spoken() -> dict[str, Any]:
    return {"input_features": torch.randn(3, 4, 16), "labels": tokens()}


def awake(exhibit: Exhibit) -> Exhibit:
    """The same model away from where it was initialised."""

    def build() -> nn.Module:
        model = exhibit.build()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p), alpha=0.3)
        return model

    return replace(exhibit, build=build)


_EXHIBITS = {
    "bert": Exhibit(encoder("bert"), classified, own_loss, idle=KEYS),
    "bert-eager": Exhibit(encoder("bert", "eager"), classified, own_loss, idle=KEYS),
    "roberta": Exhibit(encoder("roberta"), classified, own_loss, idle=KEYS),
    "distilbert": Exhibit(encoder("distilbert"), classified, own_loss, idle=KEYS),
    "gpt2-eager": Exhibit(gpt2, continued, own_loss),
    "gpt2": Exhibit(lambda: gpt2("sdpa"), continued, own_loss),
    "llama": Exhibit(llama, continued, own_loss),
    "qwen-tied": Exhibit(qwen, continued, own_loss),
    "t5": Exhibit(t5, continued, own_loss),
    "vit": Exhibit(vit, pictures(8), own_loss, idle=KEYS),
    "resnet": Exhibit(resnet, pictures(16), own_loss),
    "mamba": Exhibit(mamba, continued, own_loss),
    "mamba2": Exhibit(mamba2, continued, own_loss),
    "mixtral-eager": Exhibit(mixtral("eager"), continued, own_loss, apart=True),
    "mixtral-batched": Exhibit(mixtral("batched_mm"), continued, own_loss),
    "mixtral-grouped": Exhibit(mixtral("grouped_mm"), continued, own_loss, single=True),
    "clip": Exhibit(clip, captioned, own_loss, idle=KEYS),
    "whisper": Exhibit(whisper, spoken, own_loss),
    "lora": Exhibit(lora("lora"), continued, own_loss),
    "dora": Exhibit(lora("dora"), continued, own_loss),
    "ia3": Exhibit(lora("ia3"), continued, own_loss),
    "prefix-tuning": Exhibit(lora("prefix"), continued, own_loss),
}

TRANSFORMERS: dict[str, Exhibit] = {name: awake(exhibit) for name, exhibit in _EXHIBITS.items()}
