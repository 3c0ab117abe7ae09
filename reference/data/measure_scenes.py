"""Writes packages/data/src/scenes/__vectors__/waggle-scenes.json: where the things of golden/waggle-scenes are, measured in the pictures, beside
their captions and questions; and copies of three of the pictures.   python reference/data/measure_scenes.py GOLDEN/waggle-scenes
A pixel belongs to a thing where it is nearer to the thing's colour than to the ground's. Written with numpy 2, pillow 13, scipy 1."""
import json, shutil, sys
from pathlib import Path
import numpy as np
from PIL import Image
from scipy import ndimage

golden, out = Path(sys.argv[1]), Path(__file__).parents[2] / "packages/data/src/scenes/__vectors__"
cases = json.loads((golden / "expected.json").read_text())["cases"]
scenes = []
for name in sorted({case["image"] for case in cases}):
    pixels = np.array(Image.open(golden / name).convert("RGB")).astype(float)
    side, ground = pixels.shape[0], pixels[0, 0]
    labels, _ = ndimage.label(np.abs(pixels - ground).sum(-1) > 100)
    things = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        colors, counts = np.unique(pixels[labels == i], axis=0, return_counts=True)
        fill = colors[counts.argmax()]
        window = slice(max(rows.start - 2, 0), rows.stop + 2), slice(max(columns.start - 2, 0), columns.stop + 2)
        covered = ((pixels[window] - ground) @ (fill - ground)) / ((fill - ground) @ (fill - ground)) > 0.5
        covered &= ndimage.binary_dilation(labels[window] == i, iterations=2)
        y, x = np.nonzero(covered)
        box = np.array([x.min() + window[1].start, y.min() + window[0].start, x.max() + 1 + window[1].start, y.max() + 1 + window[0].start]) / side
        things.append({"box": box.round(5).tolist(), "fill": fill.astype(int).tolist()})
    things.sort(key=lambda t: (t["box"][1] + t["box"][3] > 1, t["box"][0] + t["box"][2]))
    mine = [case for case in cases if case["image"] == name]
    caption = next(case["answer"] for case in mine if case["family"] == "caption")
    words = [item.split()[1:4] for item in caption.rstrip(".").split(", ")]
    assert len(words) == len(things), name
    for thing, (size, color, shape) in zip(things, words): thing.update(size=size, color=color, shape=shape)
    questions = [{key: case[key] for key in ("family", "question", "answer")} for case in mine]
    scenes.append({"image": name, "side": side, "background": ground.astype(int).tolist(), "things": things, "questions": questions})
(out / "waggle-scenes.json").write_text(json.dumps(scenes, separators=(",", ":")).replace('{"image"', '\n{"image"') + "\n")
for name in ("scene-02.png", "scene-06.png", "scene-10.png"):
    shutil.copyfile(golden / name, out / name)
