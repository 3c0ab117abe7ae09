"""Opens a run's event files as TensorBoard does and compares every scalar with the run's JSON lines; counts texts and pictures, which must decode.
    python reference/train/tensorboard_check.py FOLDER_OF_EVENTS STEPS.jsonl
tensorboard 2.21, Pillow, numpy."""
import io, json, sys
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

folder, lines = sys.argv[1:]
board = EventAccumulator(folder, size_guidance=dict(scalars=0, images=0, tensors=0))
board.Reload()
steps = [json.loads(line) for line in open(lines)]
compared = 0
for tag, field in dict(loss="loss", grad_norm="gradNorm", learning_rate="lr", tokens_per_second="tokensPerSecond", wait_ms="waitMs").items():
    found = board.Scalars(f"train/{tag}")
    assert [event.step for event in found] == [record["step"] for record in steps], tag
    for event, record in zip(found, steps):
        assert np.float32(record[field]) == np.float32(event.value), (tag, event, record)
        compared += 1
texts = 0
for tag in board.Tags()["tensors"]:
    for event in board.Tensors(tag):
        cells = tensor_util.make_ndarray(event.tensor_proto)
        assert cells.ndim == 2 and cells.shape[1] == 2, (tag, cells)
        texts += 1
pictures = 0
for tag in board.Tags()["images"]:
    for event in board.Images(tag):
        with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
            picture.load()
            assert picture.size == (event.width, event.height), tag
        pictures += 1
print(f"{compared} scalars equal, {texts} texts, {pictures} pictures, eval/loss {len(board.Scalars('eval/loss')) if 'eval/loss' in board.Tags()['scalars'] else 0} times")
