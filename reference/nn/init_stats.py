"""packages/{language,vision,projectors}/src/__vectors__/initial-values.json: how the originals' new weights are distributed. Mean, standard deviation and
kurtosis (fourth moment over squared variance: 3 normal, 1.8 uniform) of every parameter, over as many new models as give 200 000 values.

    transformers  Llama, Mistral, Qwen2, OPT, CLIP's tower, the Q-Former, as their own `_init_weights` fills them
    by hand       what the authors' code does and transformers' does not, with torch's own initialisers: EVA (MiniGPT-4 eva_vit.py), the Q-Former's
                  query tokens and last map (MiniGPT-4 minigpt_base / mini_gpt4), LLaVA's projector (multimodal_projector/builder.py), Honeybee's projectors
                  (projectors/*.py under common_layers.py's `_init_weights`, which comes last). Keys are regular expressions there.

Usage: python reference/nn/init_stats.py   (torch 2.13.0, transformers 5.23.0)
"""
import json, math, pathlib, warnings
import torch
from torch import nn
from transformers import (Blip2QFormerConfig, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
                          OPTConfig, OPTForCausalLM, Qwen2Config, Qwen2ForCausalLM)
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALUES, MODELS = 200_000, 400

def moments(sums):
    n, s1, s2, s4, lowest, highest = sums
    mean, std = s1 / n, math.sqrt(max(0.0, s2 / n - (s1 / n) ** 2))
    if highest - lowest < 1e-12:
        return dict(mean=mean, std=0)
    return dict(mean=round(mean, 8), std=round(std, 8), kurtosis=round(s4 / n / (s2 / n) ** 2, 3))

def stats(make):
    """`make()` gives new tensors by key."""
    sums = {}
    for seed in range(MODELS):
        if seed > 0 and all(each[0] >= VALUES for each in sums.values()):
            break
        torch.manual_seed(seed)
        for key, tensor in make().items():
            x = tensor.detach().double()
            old = sums.get(key, (0, 0.0, 0.0, 0.0, math.inf, -math.inf))
            new = (x.numel(), x.sum().item(), (x**2).sum().item(), (x**4).sum().item())
            sums[key] = (*(a + b for a, b in zip(old, new)), min(old[4], x.min().item()), max(old[5], x.max().item()))
    return {key: moments(each) for key, each in sums.items()}

def model(kind, config, prefix=""):
    def make():
        built = kind(config)
        return {prefix + key: value for key, value in built.named_parameters()}
    return stats(make)

def escaped(facts):
    return {key.replace(".", "\\."): value for key, value in facts.items()}

llama = dict(vocab_size=80, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=32, pad_token_id=None, bos_token_id=1, eos_token_id=2)
language = dict(
    llama=dict(config={**llama, "initializer_range": 0.04, "attention_bias": True, "mlp_bias": True}, kind=LlamaForCausalLM, of=LlamaConfig),
    mistral=dict(config=llama, kind=MistralForCausalLM, of=MistralConfig),
    qwen2=dict(config={**llama, "tie_word_embeddings": True}, kind=Qwen2ForCausalLM, of=Qwen2Config),
    opt=dict(config=dict(vocab_size=80, hidden_size=48, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32,
                         word_embed_proj_dim=24, init_std=0.006, pad_token_id=None, bos_token_id=2, eos_token_id=2), kind=OPTForCausalLM, of=OPTConfig),
)
clip = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, image_size=24, patch_size=6)
eva = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, image_size=24, patch_size=6)

def made(fill, *shape):
    tensor = torch.empty(*shape)
    fill(tensor)
    return tensor

trunc = lambda std: lambda t: nn.init.trunc_normal_(t, std=std)
normal = lambda std: lambda t: nn.init.normal_(t, std=std)

def eva_tower():
    C, I, p = eva["hidden_size"], eva["intermediate_size"], eva["patch_size"]
    conv = nn.Conv2d(3, C, p, p)
    new = {"visual_encoder.(cls_token|pos_embed)": made(trunc(0.02), 1, 17, C),
           "visual_encoder.patch_embed.proj.weight": conv.weight, "visual_encoder.patch_embed.proj.bias": conv.bias,
           r"ln_vision.weight|visual_encoder.blocks.\d.norm[12].weight": torch.ones(C),
           r"ln_vision.bias|visual_encoder.blocks.\d.(norm[12].bias|attn.[qv]_bias|attn.proj.bias|mlp.fc[12].bias)": torch.zeros(C),
           r"visual_encoder.blocks.\d.(attn.qkv|mlp.fc1).weight": made(trunc(0.02), I, C)}
    for layer in range(3):
        new[rf"visual_encoder.blocks.{layer}.(attn.proj|mlp.fc2).weight"] = made(trunc(0.02), C, I) / math.sqrt(2 * (layer + 1))
    return new

qformer = Blip2QFormerConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, encoder_hidden_size=24, cross_attention_frequency=2)

def qformer_whole():
    new = {f"qformer.{key}": value for key, value in Blip2QFormerModel(qformer).named_parameters()}
    last = nn.Linear(48, 32)
    return {**new, "query_tokens": made(normal(0.02), 1, 8, 48), "language_projection.weight": last.weight, "language_projection.bias": last.bias}

def llava():
    first, second = nn.Linear(24, 32), nn.Linear(32, 32)
    return {"linear_1.weight": first.weight, "linear_1.bias": first.bias, "linear_2.weight": second.weight, "linear_2.bias": second.bias}

def honeybee(extra):
    """What common_layers.py does to modules, and the parameters beside them. Norms are the 1-D weights whose names say so."""
    norms = r"(.*\.)?(prenorm|bn|norm1|norm2|normk|ffn_ln|\w+_layer_norm)"
    return lambda: {rf"{norms}\.weight": torch.ones(9), rf"{norms}\.bias": torch.zeros(9),
                    r"(pos_emb|v_pos_emb|eos_tokens|vit_eos)": made(trunc(0.02), 40, 50),
                    rf"(?!{norms}\.)[\w.]+\.weight": made(normal(0.02), 40, 50), rf"(?!{norms}\.)[\w.]+\.bias": torch.zeros(9), **extra()}

def grouped():
    last = nn.Linear(96, 32)
    return {"llama_proj.weight": last.weight, "llama_proj.bias": last.bias}

def reference_points(side, rows, columns):
    y, x = torch.meshgrid(torch.linspace(0.5, rows - 0.5, side), torch.linspace(0.5, columns - 0.5, side), indexing="ij")
    return torch.stack((x.reshape(-1) / columns, y.reshape(-1) / rows), -1).flatten().tolist()

def write(package, content):
    path = ROOT / f"packages/{package}/src/__vectors__/initial-values.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(path, path.stat().st_size)

warnings.filterwarnings("ignore")
write("language", {name: dict(config=case["config"], facts=escaped(model(case["kind"], case["of"](**case["config"])))) for name, case in language.items()})
clips = [clip, {**clip, "initializer_range": 0.05, "initializer_factor": 0.5}]
write("vision", dict(clip=[dict(config=config, facts=escaped(model(CLIPVisionModel, CLIPVisionConfig(**config), "vision_model."))) for config in clips],
                     eva=[dict(config=eva, facts=stats(eva_tower))]))
write("projectors", dict(
    qformer=escaped(stats(qformer_whole)), llava=escaped(stats(llava)), groupedLinear=escaped(stats(grouped)),
    honeybee=stats(honeybee(dict)), honeybeeLevels=stats(honeybee(lambda: {"level_emb": made(normal(1), 1, 3, 1, 48)})),
    referencePoints=dict(tokens=9, rows=4, columns=4, values=reference_points(3, 4, 4),
                         facts=stats(lambda: {"reference_points": torch.tensor(reference_points(3, 4, 4))}))))
