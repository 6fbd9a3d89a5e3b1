"""Methods as ONNX files under ONNX Runtime and as programs of torch.export, against eager PyTorch."""

from __future__ import annotations

import dataclasses
import json
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipelines.__main__ import main
from pipelines.registry.export import model as exporting
from pipelines.registry.export.equality import compare
from pipelines.registry.export.model import export_model, onnx_run
from pipelines.storage.files import sha256_of_file
from sgenet.export import InpaintingGraph, trace
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import load_released, save_released
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import NetworkSettings, TauSettings

LABELS = LabelSpace(("sky", "sea", "meadow"))
SIDE = 32
SMALL = NetworkSettings(
    widths=(8, 8, 8, 8, 8),
    context_blocks=1,
    encoder_blocks=(0, 0, 0, 0, 0),
    decoder_blocks=(0, 0, 0, 0),
    modulation_width=4,
    reliability_width=3,
    image_size=SIDE,
)
# What is not the default, in as few networks as hold it; what is the default is exported after the demo.
NETWORKS = {
    "base_net": dataclasses.replace(SMALL, context="channel_fc", start="membrane"),
    "sge_net": dataclasses.replace(
        SMALL, context="fourier", modulation_at="fine", tau=TauSettings(rule="fraction_of_max")
    ),
    "gated_conv": SMALL,
    "edge_connect": SMALL,
    "spg_net": SMALL,
}


def _release(folder, name):
    recipe = Recipe(
        network=NETWORKS[name],
        gated_conv=GatedConvSettings(width=8),
        edge_connect=EdgeConnectSettings(width=4, num_blocks=1),
        spg_net=SPGNetSettings(width=4, num_blocks=1, segmenter_width=4),
    )
    save_released(folder, name, build_generator(name, recipe, LABELS.num_classes), recipe, LABELS)
    return folder


class Exports:
    """Released models and what was exported of them, each once: tracing and converting one takes half a minute."""

    def __init__(self, folder):
        self.folder = folder

    def model(self, method):
        folder = self.folder / method / "model"
        return folder if folder.exists() else _release(folder, method)

    @cache  # noqa: B019
    def traced(self, method):
        return trace(InpaintingGraph(load_released(self.model(method)).generator))

    @cache  # noqa: B019
    def export(self, method, name, file_format):
        """The file, and how it compared with the model."""
        file = self.folder / method / name
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "trace", lambda graph: self.traced(method))
            return file, export_model(self.model(method), file, file_format)[1]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture(params=list(NETWORKS))
def exported(request, exports):
    """A released model and the ONNX file made of it."""
    file, _ = exports.export(request.param, "model.onnx", "onnx")
    return exports.model(request.param), file


@pytest.mark.slow
def test_onnx_runtime_computes_what_pytorch_computes_at_sizes_it_was_not_exported_at(exported):
    model, file = exported
    graph = InpaintingGraph(load_released(model).generator)
    run = onnx_run(file.read_bytes(), graph.input_names)
    agreement = compare(graph, run, seed=20, rounds=6)
    assert len({size[1:] for size in agreement.sizes}) == 6
    assert agreement.holds, str(agreement)
    # The size of the training crop, which the context of fixed size takes as it is, and one beyond the largest drawn.
    for height, width in ((SIDE, SIDE), (16, 16), (5, 21), (150, 203)):
        rng = np.random.default_rng(height)
        inputs = [rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8)]
        inputs += [np.tile(np.uint8([0, 1]), height * width)[: height * width].reshape(1, height, width)]
        inputs += [np.zeros_like(inputs[1])] * ("known_edges" in graph.input_names)
        with torch.inference_mode():
            expected = [output.numpy() for output in graph(*map(torch.from_numpy, inputs))]
        for one, other in zip(expected, run(inputs), strict=True):
            assert one.shape == other.shape
            assert (np.abs(one.astype(np.float32) - other) > (1 if one.dtype == np.uint8 else 1e-3)).mean() <= 1e-3


@pytest.mark.slow
def test_the_onnx_file_holds_standard_operators_only_and_says_what_it_is(exported):
    model, file = exported
    content = onnx.load(file)
    onnx.checker.check_model(content, full_check=True)
    assert {node.domain for node in content.graph.node} == {""}
    assert not content.functions
    assert [(opset.domain, opset.version) for opset in content.opset_import] == [("", 18)]
    metadata = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["sgenet.classes"]) == ["sky", "sea", "meadow"]
    assert metadata["sgenet.weights_sha256"] == sha256_of_file(model / "model.safetensors")
    assert metadata["sgenet.method"] == model.parent.name
    assert b".py" not in file.read_bytes()  # no folders of the machine that exported it


@pytest.mark.slow
def test_the_program_of_torch_export_is_the_model_to_the_bit_and_loads_without_unpickling(exports, monkeypatch):
    file, agreement = exports.export("sge_net", "model.pt2", "torch_export")
    assert agreement.off == agreement.labels_off == 0

    careful = torch.load

    def refuse(*arguments, **options):
        assert options.get("weights_only", True), "something in the file asks to be unpickled"
        return careful(*arguments, **options)

    monkeypatch.setattr(torch, "load", refuse)
    extra = {"sgenet.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["sgenet.json"])["sgenet.method"] == "sge_net"
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not any("fft" in name for name in called)
    with pytest.raises(AssertionError, match="Guard failed"):
        program.module()(torch.zeros(1, 16, 20, 3, dtype=torch.uint8), torch.zeros(1, 16, 20, dtype=torch.uint8))
    assert b"/sgenet/" not in file.read_bytes()


def test_a_file_that_computes_something_else_is_not_published(tmp_path, monkeypatch):
    """Here the converter leaves the last bit of the weights' meaning out: it is given another network."""
    model = _release(tmp_path / "model", "sge_net")
    other = InpaintingGraph(build_generator("sge_net", Recipe(network=SMALL), LABELS.num_classes))

    def make(graph, text, properties):
        return b"", lambda inputs: [output.numpy() for output in other(*map(torch.from_numpy, inputs))]

    monkeypatch.setattr(exporting, "_make_onnx", make)
    with pytest.raises(RuntimeError, match="does not compute what the model computes"):
        export_model(model, tmp_path / "model.onnx", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_change_of_known_pixels_is_found_whatever_its_share():
    graph = InpaintingGraph(build_generator("base_net", Recipe(network=SMALL), LABELS.num_classes))

    def run(inputs):
        with torch.inference_mode():
            outputs = [output.numpy() for output in graph(*map(torch.from_numpy, inputs))]
        place = tuple(np.argwhere(inputs[1] == 0)[0])
        outputs[0][place] ^= 1
        return outputs

    with pytest.raises(RuntimeError, match="changes known pixels"):
        compare(graph, run)


def test_the_files_ending_names_the_format(tmp_path, capsys):
    assert main(["export", "-o", str(tmp_path / "model.pt")]) == 2
    assert "model.pt must end in .onnx or .pt2" in capsys.readouterr().err
