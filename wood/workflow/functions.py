"""Functions of wildcards that Snakemake calls once for each of thousands of jobs."""

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any


def with_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with its signature beside it.

    Snakemake asks for the signature at each call, and working it out takes longer than most of
    these functions do.
    """
    return _signed(function, inspect.signature(function))


def _signed(function: Any, signature: inspect.Signature) -> Any:
    function.__signature__ = signature
    # Where Snakemake looks first.
    function._overwrite_params = signature.parameters
    return function


def of_job(method: Callable[..., Any]) -> Any:
    """Make a method a function of a job's wildcards, with its signature beside it."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    signature = inspect.Signature(parameters)

    def bind(instance: Any) -> Callable[..., Any]:
        def function(*arguments: Any, **named: Any) -> Any:
            return method(instance, *arguments, **named)

        function.__name__ = method.__name__
        return _signed(function, signature)

    bind.__doc__ = method.__doc__
    return cached_property(bind)
