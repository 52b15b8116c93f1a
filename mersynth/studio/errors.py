"""Errors as messages on the page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from html import escape
from typing import ParamSpec, TypeVar

from mersynth.logs import is_message

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def shows_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Show the errors of a function on the page, as messages that stay until they are closed."""
    import gradio as gr

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            text = str(error)
            if not is_message(error):
                logger.error("an error in the studio", exc_info=error)
                text = f"An error in the studio: {type(error).__name__}: {error}"
            shown = escape(text).replace("\n", "<br>")
            raise gr.Error(shown, duration=None, print_exception=False) from error

    return call
