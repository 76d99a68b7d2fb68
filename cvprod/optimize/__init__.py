"""Making the baseline small and fast: the techniques one by one, and the pipeline that they are made into.

    quantize  INT8 by hand and by ONNX Runtime, torchao, OpenVINO; half precision; sensitivity
    prune     single weights (unstructured), whole channels (structured)
    distill   a small student learns from the large teacher
    search    the student's widths as a multi-objective study
    fuse      conv + batch norm by hand, ONNX export and graph optimisation, torch.compile
    pipeline  distil -> prune -> fine-tune -> INT8, as one function
    compare   every technique as a candidate, measured side by side

`python -m cvprod.optimize train` rebuilds what `weights/` holds. Importing this package registers the students with
`cvprod.models`; the heavy libraries are imported by the functions that need them.
"""

from .zoo import load_student, pipeline_card, pipeline_path

__all__ = ["load_student", "pipeline_card", "pipeline_path"]
