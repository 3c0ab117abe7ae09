"""Writes packages/train/proto/tensorboard_pb.{js,d.ts}: joins the file descriptors that `tensorboard` ships, with only what an
event file of scalars, texts and pictures needs, and gives the whole to protoc-gen-es.
Needs: pip install tensorboard protobuf; npm install @bufbuild/protoc-gen-es (path of its binary as first argument)."""
import pathlib, subprocess, sys
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

KEPT = {  # message: fields, all of them where None
    "Event": ["wall_time", "step", "file_version", "summary", "session_log"],
    "SessionLog": ["status"],
    "Summary": None,
    "Value": ["tag", "simple_value", "image", "tensor", "metadata"],
    "Image": None,
    "SummaryMetadata": ["plugin_data", "display_name", "summary_description"],
    "PluginData": None,
    "TensorProto": ["dtype", "tensor_shape", "string_val"],
    "TensorShapeProto": None,
    "Dim": None,
}
one = descriptor_pb2.FileDescriptorProto(name="tensorboard.proto", package="tensorboard", syntax="proto3")

def cut(message):
    """The message without the fields and nested messages that are not needed; None where it is not needed itself."""
    if message.name not in KEPT:
        return None
    fields = KEPT[message.name]
    kept = descriptor_pb2.DescriptorProto()
    kept.CopyFrom(message)
    del kept.field[:], kept.nested_type[:]
    kept.field.extend(f for f in message.field if fields is None or f.name in fields)
    kept.nested_type.extend(n for n in map(cut, message.nested_type) if n is not None)
    used = sorted({f.oneof_index for f in kept.field if f.HasField("oneof_index")})
    names = [message.oneof_decl[i].name for i in used]
    del kept.oneof_decl[:]
    for name in names:
        kept.oneof_decl.add(name=name)
    for f in kept.field:
        first, *rest = f.name.split("_")
        f.json_name = first + "".join(map(str.capitalize, rest))
        if f.HasField("oneof_index"):
            f.oneof_index = used.index(f.oneof_index)
    return kept

for module in (tensor_shape_pb2, types_pb2, tensor_pb2, summary_pb2, event_pb2):
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    one.message_type.extend(m for m in map(cut, file.message_type) if m is not None)
    for enum in file.enum_type:
        if enum.name == "DataType":
            kept = one.enum_type.add(name=enum.name)
            kept.value.extend(v for v in enum.value if v.name in ("DT_INVALID", "DT_STRING"))
request = plugin_pb2.CodeGeneratorRequest(file_to_generate=[one.name], parameter="target=js+dts", proto_file=[one])
response = plugin_pb2.CodeGeneratorResponse()
response.ParseFromString(subprocess.run([sys.argv[1]], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True).stdout)
assert not response.error, response.error
out = pathlib.Path(__file__).resolve().parents[2] / "packages/train/proto"
out.mkdir(exist_ok=True)
for f in response.file:
    (out / f.name).write_text(f.content)
