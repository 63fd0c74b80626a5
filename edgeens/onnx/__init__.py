"""ONNX at the edge of edgeens: members come in, the decoded ensemble runs, plain models go out."""
