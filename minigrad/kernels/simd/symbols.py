"""Functions that are compiled once and called by a symbol.

Numba compiles a function into each of its callers, again every time. A function that is called by
a symbol is compiled by itself; the linker gets its address before a caller is linked, also when
the caller's machine code comes from the disk (see `disk.py`).
"""

from functools import cache
from typing import Any

from llvmlite import binding
from numba.core import cgutils, types
from numba.extending import intrinsic

from ...interrupts import interrupts_deferred

_compiled: dict[str, Any] = {}  # name -> the dispatcher
_known: dict[str, tuple[str, Any]] = {}  # symbol -> name and argument types


def _canonical(t):
    """The type that an argument is passed as: whole numbers, also in tuples, as int64."""
    if isinstance(t, types.Integer):
        return types.intp
    if isinstance(t, types.BaseTuple) and all(isinstance(n, types.Integer) for n in t):
        return types.BaseTuple.from_types([types.intp] * len(t), getattr(t, "instance_class", None))
    return types.unliteral(t)


@cache  # of each step that calls them
def address_of(dispatcher, argument_types):
    """The address of a function's machine code for arguments of some types."""
    dispatcher.compile(argument_types)
    compiled = dispatcher.overloads[argument_types]
    with interrupts_deferred():  # Ctrl-C within llvmlite would leave its lock taken
        return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def call_at(typing, address, *args):
    """Call a function that returns nothing at an address that `address_of` gave."""

    def generate(context, builder, signature, values):
        convention, given = context.call_conv, cgutils.unpack_tuple(builder, values[1])
        kind = convention.get_function_type(types.none, args)
        callee = builder.inttoptr(values[0], kind.as_pointer())
        status, _ = convention.call_function(builder, callee, types.none, args, given)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.none(address, types.StarArgTuple(args)), generate


def symbol_of(name, argument_types):
    """The symbol of a function for arguments of some types, compiled and known to the linker."""
    symbol = f"{name}{argument_types}"
    if symbol not in _known:
        binding.add_symbol(symbol, address_of(_compiled[name], argument_types))
        _known[symbol] = name, argument_types
    return symbol


def symbols_in(library):
    """The functions, by name and argument types, that some machine code calls by symbol."""
    declared = (f.name for f in library._final_module.functions if f.is_declaration)
    return [_known[name] for name in declared if name in _known]


def called_by_symbol(dispatcher):
    """A function for compiled code that calls a dispatcher by its symbol."""
    name = f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__name__}"

    @intrinsic
    def call(typing, *args):
        passed = tuple(map(_canonical, args))
        symbol = symbol_of(name, passed)
        result = dispatcher.overloads[passed].signature.return_type

        def generate(context, builder, signature, values):
            convention, given = context.call_conv, cgutils.unpack_tuple(builder, values[0])
            kind = convention.get_function_type(result, passed)
            callee = cgutils.get_or_insert_function(builder.module, kind, symbol)
            cast = [context.cast(builder, *each) for each in zip(given, args, passed, strict=True)]
            status, returned = convention.call_function(builder, callee, result, passed, cast)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return returned

        return result(types.StarArgTuple(args)), generate

    _compiled[name] = dispatcher
    call.py_func, call.dispatcher = dispatcher.py_func, dispatcher
    return call
