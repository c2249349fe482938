from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentsight_auto.deliver.pipeline import Pipeline, PipelineOptions

from .support import FickleDestination, assert_balanced, clock

MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Where the pipelines of the test keep what waits."""
    return tmp_path / "outbox"


@pytest.fixture
def destination() -> Iterator[FickleDestination]:
    """A destination that does what the test asks for."""
    fickle = FickleDestination()
    yield fickle
    fickle.is_open.set()


@pytest.fixture
def make_pipeline(outbox: Path, destination: FickleDestination) -> Iterator[MakePipeline]:
    """Make pipelines; at the end each must balance, and what it says is pending must really be there."""
    made: list[Pipeline] = []

    def make(to: object = None, **options: object) -> Pipeline:
        pipeline = Pipeline(PipelineOptions(**{"outbox": outbox, **options}), lambda: to or destination, clock)
        made.append(pipeline)
        return pipeline

    yield make
    destination.is_open.set()
    for pipeline in made:
        report = pipeline.shutdown(2)
        assert_balanced(report)
        assert sum(segment.pending for segment in pipeline._backlog.segments()) == report.pending


@pytest.fixture
def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    """One pipeline with the default settings."""
    return make_pipeline()
