"""Writes packages/train/src/log/__vectors__/tensorboard.json: an event file of a short resumed run as TensorBoard's own writer makes it,
with torch's scalars. tensorboard 2.21, torch 2.13."""
import base64, io, json, pathlib
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

NOW = 1_700_000_000.125
steps = [
    dict(step=3, stage="tune", loss=2.5, gradNorm=0.75, lr=1e-4, tokensPerSecond=1234.5, waitMs=0.25),
    dict(step=4, stage="tune", loss=2.25, gradNorm=1 / 3, lr=9.5e-5, tokensPerSecond=1300, waitMs=0),
]
sample = dict(step=4, prompt="What is it?", answer="a bee", expected="ein Bär 🐻")
tags = dict(loss="loss", gradNorm="grad_norm", lr="learning_rate", tokensPerSecond="tokens_per_second", waitMs="wait_ms")

def text(tag, rows):
    tensor = TensorProto(dtype="DT_STRING", string_val=[cell.encode() for row in rows for cell in row],
                         tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(rows)), TensorShapeProto.Dim(size=2)]))
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

def scalars(values):
    summary = Summary()
    for tag, value in values.items():
        summary.value.extend(scalar(tag, value).value)
    return summary

events = [
    Event(file_version="brain.Event:2"),
    Event(step=3, session_log=SessionLog(status=SessionLog.START)),
    Event(step=2, summary=text("stages", [["align", "2 steps"], ["tune", "2 steps"]])),
    Event(step=3, summary=scalars({f"train/{tags[k]}": v for k, v in steps[0].items() if k in tags})),
    Event(step=3, summary=text("skipped", [["s7", "cannot be read"]])),
    Event(step=4, summary=scalars({f"train/{tags[k]}": v for k, v in steps[1].items() if k in tags})),
    Event(step=4, summary=text("samples/0/answer", [[k, sample[k]] for k in ("prompt", "expected", "answer")])),
    Event(step=4, summary=text("samples/1/answer", [[k, sample[k]] for k in ("prompt", "expected", "answer")])),
    Event(step=4, summary=scalars({"eval/loss": 1.5})),
]
file = io.BytesIO()
writer = RecordWriter(file)
for event in events:
    event.wall_time = NOW
    writer.write(event.SerializeToString())
out = pathlib.Path(__file__).resolve().parents[2] / "packages/train/src/log/__vectors__"
out.mkdir(exist_ok=True)
vectors = dict(now=NOW * 1000, stages=[dict(name="align", steps=2), dict(name="tune", steps=2)], steps=steps, sample=sample,
               file=base64.b64encode(file.getvalue()).decode())
(out / "tensorboard.json").write_text(json.dumps(vectors, ensure_ascii=False, indent=1))
