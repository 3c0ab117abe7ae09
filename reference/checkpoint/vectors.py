"""Makes packages/checkpoint/src/__vectors__: files written by the safetensors package, and PyTorch's own conversions.

    python reference/checkpoint/vectors.py          (torch, safetensors)

all-types.safetensors   one tensor of every element type that Waggle reads, written by safetensors
to-float32.safetensors  `stored.<dtype>` and `float32.<dtype>`: PyTorch's .to(torch.float32) of it. Edge cases first
                        (largest, smallest, subnormal, halfway between two floats, beyond 2^53), then random bits.
from-float32.safetensors  `float32` and PyTorch's .to(torch.float16), .to(torch.bfloat16) of it: every rounding's edge, then random bits
torch-*.pt              the same tensors by torch.save in its forms: zip (pickle protocols 2 and 5), zip with Zip64 records,
                        and before 1.6; with shared storages, transposes, slices, steps, an expanded row, a parameter
torch-dense.safetensors those tensors as PyTorch makes them contiguous, named by their path in the dictionary
unsafe.pt, deflated.pt  a pickle that wants os.system; an archive that is compressed
negated.pt              a tensor whose sign is a mark beside it: its storage holds the opposite of its values
"""

import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parents[2] / "packages/checkpoint/src/__vectors__"
META = {"made by": f"reference/checkpoint/vectors.py, torch {torch.__version__.split('+')[0]}"}  # one key: several have no fixed order


def all_types() -> None:
    values = torch.arange(6).reshape(2, 3)
    types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]
    tensors = {f"t.{name}": values.to(getattr(torch, name)) for name in types}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "ä.日本.🐝": torch.ones(1), "0": torch.ones(1)}
    save_file(tensors, OUT / "all-types.safetensors", META)


def narrowing() -> None:
    torch.manual_seed(1)
    halves = torch.arange(0, 65536, 7, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    brains = torch.arange(0, 65536, 11, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).float()
    edges = torch.tensor([65504.0, 65519.99, 65520.0, 65536.0, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0001, 3 * 2.0**-25, 2.0**-14, 3.4028e38, 3.39e38])
    bits = torch.randint(-(2**31), 2**31, (4096,), dtype=torch.int64).to(torch.int32).view(torch.float32)
    small = torch.randn(4096) * torch.exp2(torch.randint(-30, 20, (4096,)).float())
    between = [(half + torch.nextafter(half, half + 1)) / 2 for half in (halves[::16],)]
    midpoints = (halves[:-1:8] + halves[1::8]) / 2
    values = torch.cat([halves, brains, edges, -edges, bits, small, midpoints, *between, torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])])
    tensors = {"float32": values, "float16": values.to(torch.float16), "bfloat16": values.to(torch.bfloat16)}
    save_file(tensors, OUT / "from-float32.safetensors", META)


def conversions() -> None:
    torch.manual_seed(0)
    tensors = {}
    wide = [2**24 + 1, 2**24 + 3, 2**53 + 1, 2**53 - 1, 2**60 + 2**36, 2**60 + 2**36 + 1, 2**60 + 2**36 - 1, 2**62 + 2**38 + 1]
    wide += [2**63 - 1, 2**52, 2**52 - 1, 2**52 + 2**28 + 1, 0, 1, 255, 2**31, 2**32 + 1]
    int64 = torch.tensor(wide + [-value for value in wide] + [-(2**63)])
    int64 = torch.cat([int64, torch.randint(-(2**63), 2**63 - 1, (64,))])
    double = torch.tensor([1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-50, 3.5e38, -1e300, 1e-40, 2.0**-149, 2.0**-150, 5e-324, -0.0])
    double = torch.cat([double.double(), torch.tensor([float("inf"), float("-inf"), float("nan")]).double(), torch.randn(64).double()])
    stored = {
        "int64": int64,
        "float64": double,
        "float16": torch.arange(-32768, 32768, 7).to(torch.int16).view(torch.float16),
        "bfloat16": torch.arange(-32768, 32768, 7).to(torch.int16).view(torch.bfloat16),
        "int32": torch.randint(-(2**31), 2**31 - 1, (64,), dtype=torch.int32),
        "int8": torch.tensor([-128, -1, 0, 127]).to(torch.int8),
        "uint8": torch.tensor([0, 1, 200, 255]).to(torch.uint8),
        "bool": torch.tensor([True, False]),
    }
    for name, tensor in stored.items():
        tensors[f"stored.{name}"] = tensor
        tensors[f"float32.{name}"] = tensor.to(torch.float32)
    save_file(tensors, OUT / "to-float32.safetensors", META)


def zip64(source: Path, target: Path) -> None:
    """The same archive, with all sizes and places in Zip64 fields, as PyTorch writes them beyond 4 GB."""
    data = source.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<HII", data, end + 10)
    directory, at = b"", start
    for _ in range(count):
        head = bytearray(data[at : at + 46])
        stored, full = struct.unpack_from("<II", head, 20)
        name_length, extra_length, comment_length = struct.unpack_from("<HHH", head, 28)
        (local,) = struct.unpack_from("<I", head, 42)
        extra = struct.pack("<HHQQQ", 1, 24, full, stored, local)
        struct.pack_into("<II", head, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<HHH", head, 28, name_length, len(extra), 0)
        struct.pack_into("<I", head, 42, 0xFFFFFFFF)
        directory += bytes(head) + data[at + 46 : at + 46 + name_length] + extra
        at += 46 + name_length + extra_length + comment_length
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, start + len(directory), 1)
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    target.write_bytes(data[:start] + directory + end64 + locator + tail)


class Unsafe:
    def __reduce__(self):
        return os.system, ("echo executed",)


def pickles() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(5, 7)
    block = torch.arange(2 * 3 * 4, dtype=torch.int64).reshape(2, 3, 4)
    state = OrderedDict(
        matrix=matrix,
        same_storage=matrix,
        transposed=matrix.t(),
        row=matrix[2],
        column=matrix[:, 3],
        inner=matrix[1:4, 2:5],
        steps=matrix[::2, ::3],
        permuted=block.permute(2, 0, 1),
        expanded=torch.tensor([[1.5], [2.5]]).expand(2, 6),
        scalar=torch.tensor(3.25),
        empty=torch.zeros(0, 3),
        half=matrix.half().t(),
        brain=matrix.bfloat16(),
        double=matrix.double().t(),
        int=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        char=torch.tensor([-128, 127], dtype=torch.int8),
        byte=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False, True])[::2],
        parameter=torch.nn.Parameter(torch.randn(3)),
    )
    saved = {"model": state, "epoch": 3, "lr": 1e-4, "list": [torch.ones(1), {"deep": torch.zeros(2)}], "size": matrix.shape, "big": 2**70, "none": None}
    torch.save(saved, OUT / "torch-zip.pt")
    torch.save(saved, OUT / "torch-zip-protocol5.pt", pickle_protocol=5)
    torch.save(saved, OUT / "torch-legacy.pt", _use_new_zipfile_serialization=False)
    zip64(OUT / "torch-zip.pt", OUT / "torch-zip64.pt")
    assert torch.load(OUT / "torch-zip64.pt", weights_only=True)["epoch"] == 3
    dense = {f"model.{name}": tensor.detach().contiguous().clone() for name, tensor in state.items()}
    save_file(dense | {"list.0": torch.ones(1), "list.1.deep": torch.zeros(2)}, OUT / "torch-dense.safetensors", META)
    torch.save({"weight": torch.ones(2), "other": Unsafe()}, OUT / "unsafe.pt")
    torch.save({"weight": torch._neg_view(torch.ones(2))}, OUT / "negated.pt")
    with zipfile.ZipFile(OUT / "torch-zip.pt") as whole, zipfile.ZipFile(OUT / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))


OUT.mkdir(exist_ok=True)
all_types()
narrowing()
conversions()
pickles()
for file in OUT.iterdir():
    file.chmod(0o644)
