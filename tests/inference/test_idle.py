"""A model that nobody asks gives its memory back, and comes again when somebody does."""

import time

import psutil

from core.config import Settings
from inference.local_engine import LocalEngine
from inference.runtime import open_engine
from tests.inference.collect import chat, finished

PATIENCE = 60.0


def test_an_idle_worker_ends_and_the_next_request_starts_another(settings: Settings):
    engine = open_engine(settings, idle_seconds=0.2)
    assert isinstance(engine, LocalEngine)
    assert finished(engine.generate(chat("Hello.", max_tokens=2))).usage.completion_tokens == 2
    pid = engine.worker_pid
    assert pid is not None
    until = time.monotonic() + PATIENCE
    while psutil.pid_exists(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)
    assert engine.worker_pid is None
    assert finished(engine.generate(chat("Hello again.", max_tokens=2))).usage.completion_tokens == 2
    engine.close()


def test_the_settings_say_how_long(settings: Settings):
    kept = open_engine(settings.model_copy(update={"idle_minutes": 0.0}))
    default = open_engine(settings)
    assert isinstance(kept, LocalEngine)
    assert isinstance(default, LocalEngine)
    assert kept._idle_seconds == 0
    assert default._idle_seconds == 30 * 60
