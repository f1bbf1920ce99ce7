"""TensorFlow's C functions as compiled code calls them (`tensorflow_operations.py`)."""

from numba import types

from ..compiled import compiled
from .tensorflow_c_api import compiled_function, library

ADDRESS = types.intp

library()  # has to know the functions before they are loaded or compiled
get_input = compiled_function("TF_GetInput", types.void, ADDRESS, types.int32, ADDRESS, ADDRESS)
allocate_output = compiled_function(
    "TF_AllocateOutput",
    ADDRESS,
    *(ADDRESS, types.int32, types.int32, ADDRESS, types.int32, types.intp, ADDRESS),
)
delete = compiled_function("TF_DeleteTensor", types.void, ADDRESS)
fail = compiled_function("TF_OpKernelContext_Failure", types.void, ADDRESS, ADDRESS)
data = compiled_function("TF_TensorData", ADDRESS, ADDRESS)
n_elements = compiled_function("TF_TensorElementCount", types.int64, ADDRESS)
byte_size = compiled_function("TF_TensorByteSize", types.int64, ADDRESS)
n_axes = compiled_function("TF_NumDims", types.int32, ADDRESS)
axis = compiled_function("TF_Dim", types.int64, ADDRESS, types.int32)
now_ns = compiled_function("TF_NowNanos", types.int64)


@compiled()
def release(handles):  # type: ignore[no-untyped-def]
    """Let go of tensors, and set their handles to 0, which stands for none."""
    for i in range(handles.size):
        if handles[i] != 0:
            delete(handles[i])
        handles[i] = 0
