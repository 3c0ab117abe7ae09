"""PyTorch's side of bench/training.ts: one training step for every line on standard input, answered by a line of JSON.

Usage: started by `npm run bench -- training` (torch 2.13, transformers 5.23) with case, folder and threads.
"""
import json, os, sys, time

os.environ["OMP_NUM_THREADS"] = sys.argv[3]
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

case, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
start = load_file(f"{folder}/start.safetensors")
batch = {key[6:]: value for key, value in start.items() if key.startswith("input.")}


class Decoder(nn.Module):
    """Cached features, if there are any, through an MLP in front of the text, which is what the loss sees."""

    def __init__(self):
        super().__init__()
        config = LlamaConfig(vocab_size=1000, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
                             num_key_value_heads=6, max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=True)
        self.language = LlamaForCausalLM(config)
        if case == "llava":
            self.projector = nn.ModuleDict(dict(linear_1=nn.Linear(384, 192), linear_2=nn.Linear(192, 192)))

    def loss(self, input_ids, target_ids, features=None):
        x = self.language.model.embed_tokens(input_ids)
        if features is not None:
            x = torch.cat([self.projector.linear_2(F.gelu(self.projector.linear_1(features))), x], 1)
        hidden = self.language.model(inputs_embeds=x, use_cache=False).last_hidden_state[:, -input_ids.shape[1]:]
        logits = self.language.lm_head(hidden)
        return F.cross_entropy(logits.flatten(0, 1), target_ids.flatten())


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNorm(nn.Module):
    def __init__(self, kernel, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(256, 256, kernel, padding=kernel // 2, groups=groups, bias=False)
        self.bn = LayerNorm2d(256, eps=1e-5)

    def forward(self, x):
        return self.bn(self.conv(x))


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(256, 64, 1), nn.Conv2d(64, 256, 1)

    def forward(self, x):
        return x * self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class Bottleneck(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.se, self.conv3 = ConvNorm(1), ConvNorm(3, groups=256), SqueezeExcite(), ConvNorm(1)

    def forward(self, x):
        return F.silu(self.conv3(self.se(F.silu(self.conv2(F.silu(self.conv1(x)))))) + x)


class CAbstractor(nn.Module):
    def __init__(self):
        super().__init__()
        stage = lambda: nn.Sequential(*[Bottleneck() for _ in range(3)])
        self.net = nn.Sequential(stage(), nn.AdaptiveAvgPool2d((6, 6)), stage())
        self.readout = nn.Sequential(nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 256))
        self.pos_emb = nn.Parameter(torch.zeros(1, 144, 256))

    def loss(self, features, targets):
        x = (features + self.pos_emb).unflatten(1, (12, 12)).permute(0, 3, 1, 2)
        return F.mse_loss(self.readout(self.net(x).flatten(2).transpose(1, 2)), targets)


def ours(key):
    """Names in Waggle's tree → in the modules above: timm's blocks are called b1, b2, b3; the decoder alone has no prefix."""
    for i in range(1, 4):
        key = key.replace(f".b{i}.", f".{i - 1}.")
    return f"language.{key}" if case == "decoder" else key


def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


model = CAbstractor() if case == "c-abstractor" else Decoder()
values = {ours(key[10:]): value for key, value in start.items() if key.startswith("parameter.")}
missing, unexpected = model.load_state_dict(values, strict=False)
assert not unexpected and set(missing) <= {"language.lm_head.weight"}, (missing, unexpected)
plain = {p for name, p in model.named_parameters() if name.endswith("bias") or "norm" in name or ".bn." in name}
groups = [dict(params=[p for p in model.parameters() if p not in plain]), dict(params=list(plain), weight_decay=0)]
optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
del start, values
before = memory("VmRSS")
print("{}", flush=True)
for line in sys.stdin:
    if line.strip() == "peak":
        print(json.dumps(dict(peak=memory("VmHWM"), before=before)), flush=True)
        continue
    wall, processor = time.perf_counter(), time.process_time()
    optimizer.zero_grad()
    loss = model.loss(**batch)
    loss.backward()
    # Ours looks for NaN and infinity in the gradients at every step, by their norm.
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    optimizer.step()
    took = dict(milliseconds=(time.perf_counter() - wall) * 1000, processor=(time.process_time() - processor) * 1000)
    print(json.dumps(dict(**took, loss=loss.item(), gradNorm=norm.item())), flush=True)
