"""Optimisers and schedules of PyTorch and transformers, step by step → packages/train/src/__vectors__/optimizers.json"""

import json
from pathlib import Path

import torch
from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

torch.manual_seed(7)
STEPS = 12
start = torch.randn(5, 3)
gradients = [torch.randn(5, 3) * (0.1 if step % 4 else 3) for step in range(STEPS)]


def run(optimizer_class, clip=None, **options):
    weight = torch.nn.Parameter(start.clone())
    optimizer = optimizer_class([weight], **options)
    rows, norms = [], []
    for gradient in gradients:
        weight.grad = gradient.clone()
        if clip is not None:
            norms.append(float(torch.nn.utils.clip_grad_norm_([weight], clip)))
        optimizer.step()
        rows.append(weight.detach().flatten().tolist())
    return {"options": options, "clip": clip, "weights": rows, "norms": norms}


def rates(make):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = make(optimizer)
    found = []
    for _ in range(20):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


result = {
    "versions": {"torch": torch.__version__},
    "start": start.flatten().tolist(),
    "gradients": [gradient.flatten().tolist() for gradient in gradients],
    "adamW": [
        run(torch.optim.AdamW, lr=0.01),
        run(torch.optim.AdamW, clip=0.5, lr=0.02, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
        run(torch.optim.AdamW, lr=0.02, betas=(0.0, 0.5), eps=1e-3, weight_decay=0.0),
    ],
    "sgd": [
        run(torch.optim.SGD, lr=0.1),
        run(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
        run(torch.optim.SGD, clip=1.0, lr=0.1, momentum=0.8, nesterov=True),
    ],
    "schedules": {
        "constant": rates(lambda o: get_constant_schedule_with_warmup(o, 4)),
        "linear": rates(lambda o: get_linear_schedule_with_warmup(o, 3, 20)),
        "linear_short": rates(lambda o: get_linear_schedule_with_warmup(o, 3, 12)),
        "cosine": rates(lambda o: get_cosine_schedule_with_warmup(o, 1, 20)),
        "cosine_no_warmup": rates(lambda o: get_cosine_schedule_with_warmup(o, 0, 20)),
    },
}
path = Path(__file__).parents[2] / "packages/train/src/__vectors__/optimizers.json"
path.write_text(json.dumps(result) + "\n")
