"""TensorFlow's C interface for operations of one's own, without a compiler on the user's machine.

TensorFlow has it for plug-ins and keeps it stable (``tensorflow/c/kernels.h``, ``ops.h``). Its
functions are called from Python by ctypes, and by name from code that numba compiles: operations
run without Python, and without its lock.
"""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding
import tensorflow as tf
from numba import types

_POINTER = ctypes.c_void_p
_TEXT = ctypes.c_char_p
_OK = 0
_RECORD = "record"

_Signature = tuple[Any, list[Any]]
_IN_PYTHON: dict[str, _Signature] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_GetCode": (ctypes.c_int, [_POINTER]),
    "TF_Message": (_TEXT, [_POINTER]),
    "TF_NowNanos": (ctypes.c_uint64, []),
    "TF_NumDims": (ctypes.c_int, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, ctypes.c_int]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_TensorType": (ctypes.c_int, [_POINTER]),
    "TF_NewOpDefinitionBuilder": (_POINTER, [_TEXT]),
    "TF_OpDefinitionBuilderAddAttr": (None, [_POINTER, _TEXT]),
    "TF_OpDefinitionBuilderAddInput": (None, [_POINTER, _TEXT]),
    "TF_OpDefinitionBuilderAddOutput": (None, [_POINTER, _TEXT]),
    "TF_OpDefinitionBuilderSetIsStateful": (None, [_POINTER, ctypes.c_bool]),
    "TF_OpDefinitionBuilderSetShapeInferenceFunction": (None, [_POINTER, _POINTER]),
    "TF_RegisterOpDefinition": (None, [_POINTER, _POINTER]),
    "TF_OpKernelConstruction_GetAttrInt64": (None, [_POINTER, _TEXT, _POINTER, _POINTER]),
    "TF_NewKernelBuilder": (_POINTER, [_TEXT, _TEXT, _POINTER, _POINTER, _POINTER]),
    "TF_RegisterKernelBuilder": (None, [_TEXT, _POINTER, _POINTER]),
}
_IN_COMPILED_CODE = (
    "TF_GetInput",
    "TF_AllocateOutput",
    "TF_DeleteTensor",
    "TF_OpKernelContext_Failure",
    "TF_TensorElementCount",
    "TF_TensorByteSize",
    "TF_ShapeInferenceContextSetUnknownShape",
)


class MissingInterfaceError(ImportError):
    """TensorFlow has no such interface, or not where it is looked for."""


@functools.cache
def library() -> Any:
    """The library, its functions declared to ctypes and made known to compiled code.

    Raises
    ------
    MissingInterfaceError
        It is not there.
    """
    try:
        path = next(Path(tf.sysconfig.get_lib()).glob("libtensorflow_framework.*"))
        found = ctypes.CDLL(str(path))
        for name, (result, arguments) in _IN_PYTHON.items():
            getattr(found, name).restype, getattr(found, name).argtypes = result, arguments
        for name in {*_IN_PYTHON, *_IN_COMPILED_CODE}:
            address = ctypes.cast(getattr(found, name), _POINTER).value
            llvmlite.binding.add_symbol(name, address)
    except (StopIteration, OSError, AttributeError) as error:
        raise MissingInterfaceError(str(error)) from error
    return found


def name_function(name: str, function: Any) -> None:
    """Make a function that ctypes has wrapped known to compiled code; it must live on."""
    llvmlite.binding.add_symbol(name, ctypes.cast(function, _POINTER).value)


def compiled_function(name: str, result: Any, *arguments: Any) -> Any:
    """A C function for compiled code to call. Pointers are passed as `numba.types.intp`."""
    return types.ExternalFunction(name, result(*arguments))


def new_status() -> int:
    """The address of a status for calls to report in; it is never freed."""
    return int(library().TF_NewStatus())


def _record_address(construction: int) -> int:
    """What an operation is called with."""
    record = ctypes.c_int64()
    arguments = construction, _RECORD.encode(), ctypes.byref(record), _creation_status()
    library().TF_OpKernelConstruction_GetAttrInt64(*arguments)
    return record.value


_creation_status = functools.cache(new_status)
_CREATE = ctypes.CFUNCTYPE(_POINTER, _POINTER)(_record_address)


def register_operation(
    name: str, inputs: Sequence[str], outputs: Sequence[str], compute: int, is_stateful: bool
) -> None:
    """Make an operation known to TensorFlow, for the CPU.

    Parameters
    ----------
    inputs, outputs
        As ``REGISTER_OP`` takes them, such as ``"tensors: T"``, ``T`` being a list of types.
    compute
        Address of the C function ``void(void *record, TF_OpKernelContext *)``.

    Raises
    ------
    MissingInterfaceError
        TensorFlow did not accept it.
    """
    functions, status = library(), new_status()
    builder = functions.TF_NewOpDefinitionBuilder(name.encode())
    for attribute in ("T: list(type)", f"{_RECORD}: int"):
        functions.TF_OpDefinitionBuilderAddAttr(builder, attribute.encode())
    for one in inputs:
        functions.TF_OpDefinitionBuilderAddInput(builder, one.encode())
    for one in outputs:
        functions.TF_OpDefinitionBuilderAddOutput(builder, one.encode())
    if is_stateful:  # (The function sets it whatever its second argument says.)
        functions.TF_OpDefinitionBuilderSetIsStateful(builder, True)
    # It has the signature of a shape function: a context and a status.
    of_unknown_shape = ctypes.cast(functions.TF_ShapeInferenceContextSetUnknownShape, _POINTER)
    functions.TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, of_unknown_shape)
    functions.TF_RegisterOpDefinition(builder, status)
    _check(status)
    create = ctypes.cast(_CREATE, _POINTER)
    kernel = functions.TF_NewKernelBuilder(name.encode(), b"CPU", create, compute, None)
    functions.TF_RegisterKernelBuilder(name.encode(), kernel, status)
    _check(status)


def add_operation(
    name: str, inputs: Sequence[tf.Tensor], outputs: Sequence[tf.DType], record: int
) -> Sequence[tf.Tensor]:
    """Put an operation of one's own into the graph that is being traced; gives its outputs.

    ``record`` is the address that it is called with.
    """
    value = tf.compat.v1.AttrValue
    of_inputs = value.ListValue(type=[one.dtype.as_datatype_enum for one in inputs])
    attributes = {"T": value(list=of_inputs), _RECORD: value(i=record)}
    graph = tf.compat.v1.get_default_graph()
    found: Sequence[tf.Tensor] = graph.create_op(name, inputs, outputs, attrs=attributes).outputs
    return found


def _check(status: int) -> None:
    if library().TF_GetCode(status) != _OK:
        raise MissingInterfaceError(library().TF_Message(status).decode())
