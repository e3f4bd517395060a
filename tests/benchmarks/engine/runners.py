"""What runs a graph in another way than a worker does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.benchmarks.engine.graphs import JointLinears, fuse_attention
from tests.benchmarks.engine.material import Size, make_checkpoint
from tests.benchmarks.engine.models import quantise_dynamically
from worker.engine.checkpoints.checkpoint import read_checkpoint
from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.nli import int8
from worker.engine.nli.samples import questions
from worker.engine.sessions import Inputs
from worker.engine.tokenisers.pairs import PairTokeniser, tokenizer_json
from worker.engine.tokenisers.wordpiece import TOKENIZER_FILE

Floats = NDArray[np.float32]

_SHIPPED = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "CPU_RUNTIME_CACHE_CAPACITY": 64,
}
"""As :class:`~worker.engine.sessions.openvino.OpenVinoSession` compiles."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One checkpoint and the graphs made from it, by name: ``folder/NAME.onnx``."""

    folder: Path
    checkpoint: Path
    tokeniser: PairTokeniser
    classifier: tuple[Floats, Floats]
    threads: int

    @classmethod
    def make(cls, folder: Path, size: Size, threads: int) -> Lab:
        """Make the checkpoint and every graph."""
        # CTranslate2 goes by the names of models that transformers knows.
        config = {"model_type": "bert", "architectures": ["BertModel"]}
        source = make_checkpoint(folder / "ways-checkpoint", size, config=config)
        (folder / TOKENIZER_FILE).write_text(tokenizer_json(source), encoding="utf-8")
        checkpoint = read_checkpoint(source)
        arrays: Arrays = dict(checkpoint.weights)
        geometry = Geometry(layers=size.layers, hidden=size.hidden, heads=size.heads, epsilon=checkpoint.config.epsilon)
        tokeniser = PairTokeniser.load(folder)
        quantisers = int8.fit(arrays, geometry, questions(tokeniser)[0], pad=tokeniser.pad)
        linears = {
            **{scheme: int8.linears(arrays, quantisers, scheme) for scheme in int8.SCHEMES},
            "joint": JointLinears(arrays, quantisers, layers=size.layers),
        }
        for name, each in linears.items():
            _save(build_graph(arrays, geometry, each, word_dtype=np.float16), folder, name)
        _save(build_graph(arrays, geometry, FloatLinears(arrays)), folder, "fp32")
        quantise_dynamically(folder / "fp32.onnx", folder / "quantised.onnx")
        return cls(
            folder=folder,
            checkpoint=source,
            tokeniser=tokeniser,
            classifier=(arrays["cls.w"], arrays["cls.b"]),
            threads=threads,
        )


class Runner(ABC):
    """A graph that is loaded."""

    @abstractmethod
    def run(self, calls: Sequence[Inputs]) -> list[Floats]:
        """``(batch, classes)`` logits of each call."""


class OpenVino(Runner):
    """One request that uses all threads, with some settings other than ours; ``fused`` attention if wanted."""

    def __init__(self, lab: Lab, graph: str, config: Mapping[str, Any], *, fused: bool = False) -> None:
        self._request = _compile(lab, graph, config, fused=fused).create_infer_request()

    def run(self, calls: Sequence[Inputs]) -> list[Floats]:
        outputs = []
        for inputs in calls:
            self._request.infer(dict(inputs), share_inputs=True)
            outputs.append(np.array(self._request.get_output_tensor(0).data, np.float32))
        return outputs


class Streams(Runner):
    """Several requests at a time, each with its part of the threads."""

    def __init__(self, lab: Lab, graph: str, streams: int) -> None:
        from worker.engine.sessions import openvino as session

        compiled = _compile(lab, graph, {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams})
        self._queue = session.openvino.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(self._keep)
        self._outputs: dict[int, Floats] = {}

    def run(self, calls: Sequence[Inputs]) -> list[Floats]:
        for number, inputs in enumerate(calls):
            self._queue.start_async(dict(inputs), number, share_inputs=True)
        self._queue.wait_all()
        return [self._outputs.pop(number) for number in range(len(calls))]

    def _keep(self, request: Any, number: int) -> None:
        self._outputs[number] = np.array(request.get_output_tensor(0).data, np.float32)


class OnnxRuntime(Runner):
    """ONNX Runtime on the CPU."""

    def __init__(self, lab: Lab, graph: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = lab.threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(lab.folder / f"{graph}.onnx"), options)

    def run(self, calls: Sequence[Inputs]) -> list[Floats]:
        return [self._session.run(None, dict(inputs))[0] for inputs in calls]


class CTranslate2(Runner):
    """CTranslate2's encoder with our classifier after it. It computes the whole last layer."""

    def __init__(self, lab: Lab, kind: str) -> None:
        import ctranslate2
        import transformers

        transformers.logging.set_verbosity_error()
        converted = lab.folder / f"ctranslate2-{kind}"
        if not converted.exists():
            converter = ctranslate2.converters.TransformersConverter(str(lab.checkpoint))
            converter.convert(str(converted), quantization=kind)
        self._encoder = ctranslate2.Encoder(str(converted), device="cpu", intra_threads=lab.threads)
        self._classifier = lab.classifier

    def run(self, calls: Sequence[Inputs]) -> list[Floats]:
        weight, bias = self._classifier
        return [np.array(self._pooled(inputs)) @ weight.T + bias for inputs in calls]

    def _pooled(self, inputs: Inputs) -> Any:
        ends = inputs["attention_mask"].sum(axis=1)
        ids, types = (
            [row[:end].tolist() for row, end in zip(inputs[name], ends, strict=True)]
            for name in ("input_ids", "token_type_ids")
        )
        return self._encoder.forward_batch(ids, token_type_ids=types).pooler_output


def _compile(lab: Lab, graph: str, config: Mapping[str, Any], *, fused: bool = False) -> Any:
    from worker.engine.sessions import openvino as session

    core = session.openvino.Core()
    model = core.read_model(lab.folder / f"{graph}.onnx")
    if fused:
        fuse_attention(model)
    group = int8.SCHEMES[graph].activation_group if graph in int8.SCHEMES else 0
    own = {"INFERENCE_NUM_THREADS": lab.threads, "DYNAMIC_QUANTIZATION_GROUP_SIZE": group}
    return core.compile_model(model, "CPU", {**_SHIPPED, **own, **config})


def _save(model: onnx.ModelProto, folder: Path, name: str) -> None:
    data = folder / f"{name}.onnx.data"
    data.unlink(missing_ok=True)  # the library would append
    onnx.save(model, folder / f"{name}.onnx", save_as_external_data=True, location=data.name)
