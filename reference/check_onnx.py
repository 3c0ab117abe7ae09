"""Runs the checker of the `onnx` package (full: types and shapes too) over portable graphs.

Usage: python reference/check_onnx.py FILE.onnx …   (pip install onnx). Exits with 1 when a file fails.
"""
import sys

import onnx

failed = 0
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path, load_external_data=False)
        domains = {node.domain for node in model.graph.node}
        if domains - {"", "ai.onnx"}:
            raise ValueError(f"operators of other domains: {domains}")
        print(f"ok      {path}: opset {model.opset_import[0].version}, {len(model.graph.node)} nodes")
    except Exception as error:  # noqa: BLE001 - every complaint is printed
        failed += 1
        print(f"failed  {path}: {error}")
sys.exit(1 if failed else 0)
