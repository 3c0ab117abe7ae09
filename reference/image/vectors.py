"""Pillow's and transformers' answers for packages/image/src/__vectors__: run `python reference/image/vectors.py`.

    noise.png, stripes.png     the pictures that are resized
    resize.json                filter, size and window -> SHA-256 of PIL.Image.resize's RGB bytes
    processors.json            preprocessor_config -> SHA-256 of the float32 pixel_values (Pillow-based classes)
    formats/                   small files in every format that is decoded; formats.json: SHA-256 of convert("RGB")
    formats/exif-N.jpg         the eight orientations; SHA-256 after ImageOps.exif_transpose
    anyres.json                transformers' canvas, unpadded rows and columns, number of image tokens

Needs pillow 13.0.0 (whose resize order differs from 12) and transformers 5.23.0.
"""

import hashlib
import json
import pathlib
import random

import numpy as np
import PIL
import torch
import transformers
from PIL import Image, ImageOps
from transformers.image_processing_utils import select_best_resolution
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/image/src/__vectors__"
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
VERSIONS = {"pillow": PIL.__version__, "transformers": transformers.__version__}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def write(name, value):
    (OUT / name).write_text(json.dumps({"versions": VERSIONS, **value}, indent=1) + "\n")


def pictures():
    """Noise reaches every rounding, stripes of the extremes reach the clipping of overshoots."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (120, 90, 3), dtype=np.uint8))
    ramp = np.indices((70, 200)).sum(0)
    stripes = Image.fromarray(np.stack([(ramp // n % 2 * 255).astype(np.uint8) for n in (3, 5, 8)], -1))
    return {"noise.png": noise, "stripes.png": stripes}


def resize_cases(images):
    draw = random.Random(1)
    cases = []
    sizes = [(1, 1), (1, 300), (300, 1), (90, 120), (89, 119), (56, 56), (45, 60), (180, 240), (7, 250), (250, 7), (200, 70)]
    sizes += [(draw.randint(1, 150), draw.randint(1, 150)) for _ in range(30)]
    for file, im in images.items():
        for name, number in FILTERS.items():
            for size in sizes:
                cases.append({"file": file, "filter": name, "size": size, "sha256": sha(im.resize(size, number).tobytes())})
        # the order of the two passes: the height loses up to, and more than, twice what the width loses
        for dw in (-5, 0, 1, 2, 7, 20):
            for dh in (1, 2, 3, 2 * dw, 2 * dw + 1):
                w, h = im.width - dw, im.height - dh
                if dh > 0:
                    cases.append({"file": file, "filter": "bicubic", "size": (w, h), "sha256": sha(im.resize((w, h), 3).tobytes())})
    return cases


def big_resize_cases():
    """Pictures too large to keep: value (x * a + y * b) % 251 per channel."""
    cases = []
    for w, h, size in [(1, 4000, (3, 9)), (4000, 1, (9, 3)), (3, 5000, (50, 40)), (50, 5000, (40, 1000)), (5000, 50, (1000, 40)), (2001, 1333, (504, 336))]:
        y, x = np.indices((h, w))
        data = np.stack([(x * a + y * b) % 251 for a, b in ((7, 13), (3, 5), (11, 2))], -1).astype(np.uint8)
        im = Image.fromarray(data)
        cases.append({"width": w, "height": h, "size": size, "sha256": sha(im.resize(size, 3).tobytes())})
    return cases


CONFIGS = [
    ("CLIPImageProcessor", {}),
    ("CLIPImageProcessor", {"size": 64, "crop_size": 48}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": {"height": 57, "width": 33}, "resample": 2}),
    ("CLIPImageProcessor", {"size": {"height": 50, "width": 31}, "do_center_crop": False, "resample": 1}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 30, "longest_edge": 44}, "do_center_crop": False, "resample": 5}),
    ("CLIPImageProcessor", {"size": {"max_height": 60, "max_width": 41}, "do_center_crop": False, "resample": 4}),
    ("CLIPImageProcessor", {"do_resize": False, "crop_size": 100, "resample": 0}),
    ("CLIPImageProcessor", {"do_resize": False, "do_center_crop": False, "do_normalize": False}),
    ("CLIPImageProcessor", {"size": 32, "crop_size": 32, "do_rescale": False}),
    ("CLIPImageProcessor", {"size": 32, "crop_size": 32, "do_rescale": False, "do_normalize": False}),
    ("CLIPImageProcessor", {"size": 32, "crop_size": 32, "rescale_factor": 1 / 127.5, "image_mean": [1.0, 0.9, 1.1], "image_std": [1.0, 0.5, 2.0]}),
    ("CLIPImageProcessor", {"size": 32, "crop_size": 32, "image_mean": 0.5, "image_std": 0.25}),
    ("LlavaImageProcessor", {"size": 48, "crop_size": 48, "do_pad": True}),
    ("LlavaImageProcessor", {"size": 48, "crop_size": 48, "do_pad": False}),
    ("LlavaImageProcessor", {"size": 48, "crop_size": 40, "do_pad": True, "image_mean": [0.2, 0.4, 0.6]}),
    ("LlavaNextImageProcessor", {"size": 42, "crop_size": 42, "image_grid_pinpoints": [[42, 84], [84, 42], [84, 84], [126, 42], [42, 126]]}),
    ("LlavaNextImageProcessor", {"size": 42, "crop_size": 42, "resample": 2, "image_grid_pinpoints": [[84, 42], [42, 84]]}),
    ("LlavaNextImageProcessor", {"size": 48, "crop_size": 42, "image_grid_pinpoints": [[84, 84], [126, 84]]}),
]
CLASSES = {"CLIPImageProcessor": CLIPImageProcessorPil, "LlavaImageProcessor": LlavaImageProcessorPil, "LlavaNextImageProcessor": LlavaNextImageProcessorPil}


def processor_cases(images):
    cases = []
    for name, config in CONFIGS:
        for file, im in images.items():
            values = np.asarray(CLASSES[name](**config)(im, return_tensors="np")["pixel_values"], dtype=np.float32)
            values = values.reshape(-1, *values.shape[-3:])
            entry = {"image_processor_type": name, **config}
            cases.append({"file": file, "config": entry, "shape": list(values.shape), "sha256": sha(np.ascontiguousarray(values).tobytes())})
    return cases


def format_cases(folder):
    rng = np.random.default_rng(2)
    y, x = np.indices((37, 53))
    smooth = np.stack([128 + 100 * np.sin(x / 7 + c) * np.cos(y / 5 - c) for c in range(3)], -1)
    im = Image.fromarray((smooth + rng.integers(-20, 20, smooth.shape)).clip(0, 255).astype(np.uint8))
    grey, alpha = im.convert("L"), im.copy()
    alpha.putalpha(grey)
    palette = im.quantize(50)
    lossless = {"lossless": True, "exact": True}
    files = [
        ("rgb-444.jpg", im, {"quality": 90, "subsampling": 0}), ("rgb-422.jpg", im, {"quality": 80, "subsampling": 1}),
        ("rgb-420.jpg", im, {"quality": 70, "subsampling": 2}), ("progressive.jpg", im, {"progressive": True, "subsampling": 2}),
        ("grey.jpg", grey, {}), ("cmyk.jpg", im.convert("CMYK"), {}), ("cmyk.tif", im.convert("CMYK"), {}),
        ("rgb.webp", im, {"quality": 80}), ("lossless.webp", im, lossless), ("alpha.webp", alpha, {**lossless}), ("alpha-lossy.webp", alpha, {"exact": True}),
        ("rgb.tif", im, {}), ("lzw.tif", im, {"compression": "tiff_lzw"}), ("alpha.tif", alpha, {}), ("bilevel.tif", im.convert("1"), {}),
        ("palette.gif", palette, {}), ("animated.gif", palette, {"save_all": True, "append_images": [palette.rotate(180)]}),
        ("animated.webp", im, {"save_all": True, "append_images": [im.rotate(180)], "lossless": True}),
        ("rgb.png", im, {}), ("alpha.png", alpha, {}), ("grey.png", grey, {}), ("grey-alpha.png", im.convert("LA"), {}), ("bilevel.png", im.convert("1"), {}),
        ("palette.png", palette, {}), ("palette-4.png", im.quantize(9), {"bits": 4}), ("palette-1.png", im.quantize(2), {"bits": 1}),
        ("palette-trns.png", palette, {"transparency": 3}), ("palette-alphas.png", palette, {"transparency": bytes(range(50))}),
        ("grey-trns.png", grey, {"transparency": 100}), ("rgb-trns.png", im, {"transparency": (10, 20, 30)}),
        ("icc.jpg", im, {"icc_profile": swapped_profile()}), ("icc.png", im, {"icc_profile": swapped_profile()}),
    ]
    cases = {}
    for name, picture, options in files:
        picture.save(folder / name, **options)
        cases[name] = facts(Image.open(folder / name))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        name = f"exif-{orientation}.jpg"
        im.save(folder / name, exif=exif, quality=80)
        opened = Image.open(folder / name)
        cases[name] = {**facts(ImageOps.exif_transpose(opened)), "ignoringExif": facts(opened)}
    exif = Image.Exif()
    exif[0x0112] = 6
    im.save(folder / "exif-6.png", exif=exif)
    opened = Image.open(folder / "exif-6.png")
    cases["exif-6.png"] = {**facts(ImageOps.exif_transpose(opened)), "ignoringExif": facts(opened)}
    return cases


def facts(picture):
    rgb = picture.convert("RGB")
    return {"size": rgb.size, "sha256": sha(rgb.tobytes())}


def swapped_profile():
    """A profile under which the picture looks very different: whoever applies it is found out."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(int.from_bytes(profile[128:132], "big"))}
    r, b = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[r : r + 4], profile[b : b + 4] = profile[b : b + 4], profile[r : r + 4]
    return bytes(profile)


def anyres_cases():
    grids = {"next-336": (336, 24, [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]), "tiny-42": (42, 3, [[42, 84], [84, 42], [84, 84], [126, 42], [42, 126]])}
    draw = random.Random(3)
    cases = []
    for grid, (tile, side, pinpoints) in grids.items():
        sizes = [(640, 480), (480, 640), (1000, 800), (1024, 899), (1920, 1080), (2000, 500), (400, 1200), (300, 300), (1, 1), (1, 500), (500, 1), (3000, 2)]
        sizes += [(draw.randint(1, 1500), draw.randint(1, 1500)) for _ in range(40)]
        for width, height in sizes:
            canvas = select_best_resolution((height, width), pinpoints)
            rows, columns = get_anyres_image_grid_shape((height, width), pinpoints, tile)
            kept = unpad_image(torch.zeros(1, rows * side, columns * side), (height, width)).shape[1:]
            cases.append({
                "grid": grid, "size": [width, height], "canvas": [canvas[1], canvas[0]], "kept": list(kept),
                "tokens": side * side + kept[0] * (kept[1] + 1),
            })
    return {"grids": {name: {"tile": tile, "side": side, "pinpoints": pinpoints} for name, (tile, side, pinpoints) in grids.items()}, "cases": cases}


def main():
    (OUT / "formats").mkdir(parents=True, exist_ok=True)
    images = pictures()
    for name, im in images.items():
        im.save(OUT / name)
    write("resize.json", {"cases": resize_cases(images), "computed": big_resize_cases()})
    write("processors.json", {"cases": processor_cases(images)})
    write("formats.json", {"files": format_cases(OUT / "formats")})
    write("anyres.json", anyres_cases())


if __name__ == "__main__":
    main()
