"""What users call: the inferencer, export to ONNX, conversion of checkpoints, inspection of data sets."""
