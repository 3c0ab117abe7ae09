"""Writes packages/text/proto/sentencepiece_model_pb.{js,d.ts}: feeds the file descriptor that `sentencepiece` ships to protoc-gen-es.
Needs: pip install sentencepiece protobuf; npm install @bufbuild/protoc-gen-es (path of its binary as first argument)."""
import subprocess, sys, pathlib
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from sentencepiece import sentencepiece_model_pb2 as model
file = descriptor_pb2.FileDescriptorProto()
model.DESCRIPTOR.CopyToProto(file)
file.name = "sentencepiece_model.proto"
file.options.Clear()
request = plugin_pb2.CodeGeneratorRequest(file_to_generate=[file.name], parameter="target=js+dts", proto_file=[file])
response = plugin_pb2.CodeGeneratorResponse()
response.ParseFromString(subprocess.run([sys.argv[1]], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True).stdout)
out = pathlib.Path(__file__).resolve().parents[2] / "packages/text/proto"
out.mkdir(exist_ok=True)
for f in response.file:
    (out / f.name).write_text(f.content)
