"""Losses of PyTorch with their gradients → packages/train/src/__vectors__/losses.json"""

import json
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, normalize

torch.manual_seed(3)


def flat(tensor):
    return tensor.detach().flatten().tolist()


logits = (torch.randn(6, 11) * 3).requires_grad_()
targets = torch.randint(0, 11, (6,))
loss = cross_entropy(logits, targets, reduction="sum")
loss.backward()
result = {"versions": {"torch": torch.__version__}}
result["crossEntropy"] = {"logits": flat(logits), "targets": targets.tolist(), "loss": loss.item(), "gradient": flat(logits.grad)}

images, texts = torch.randn(5, 7, requires_grad=True), torch.randn(5, 7, requires_grad=True)
logit_scale = torch.tensor(2.0, requires_grad=True)
# As open_clip's ClipLoss and transformers' clip_loss: the mean of both directions' cross entropies.
similarity = logit_scale.exp() * normalize(images, dim=-1) @ normalize(texts, dim=-1).T
own = torch.arange(5)
loss = (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2
loss.backward()
result["contrastive"] = {
    "images": flat(images),
    "texts": flat(texts),
    "logit_scale": logit_scale.item(),
    "loss": loss.item(),
    "gradients": {"images": flat(images.grad), "texts": flat(texts.grad), "logit_scale": flat(logit_scale.grad)},
}
path = Path(__file__).parents[2] / "packages/train/src/__vectors__/losses.json"
path.write_text(json.dumps(result) + "\n")
